"""The scope of an access token: a user's permissions, or fewer of them (RFC 6749 §3.3).

Knows no token and no HTTP.
"""

from __future__ import annotations

from domain.errors import InvalidRequest
from domain.permission import implies, prepare


class InvalidScope(Exception):
    """What was asked for can't be a scope, or is more than the user holds."""


def narrowed(permissions: str, scope: str | None) -> str:
    """The scope that was asked for, as far as the permissions imply it; all of them when None.

    Raises `InvalidScope`.
    """
    if scope is None:
        return permissions
    try:
        wanted = prepare(scope.split(" "))
    except InvalidRequest:
        raise InvalidScope("This can't be a scope.") from None
    held = permissions.split()
    for permission in wanted:
        if not implies(held, permission):
            msg = f"The user doesn't hold {permission}."
            raise InvalidScope(msg)
    return " ".join(wanted)
