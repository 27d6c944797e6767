"""Who calls, as a verified access token says."""

from __future__ import annotations

from typing import Final

import msgspec

from gatebook_client.errors import PermissionMissing

ADMIN: Final = "admin"
"""Implies every other permission."""


class Caller(msgspec.Struct, frozen=True):
    """The user of a token that was found good; times are seconds since the epoch.

    Store `user_key`, never `user_id`: a name can be given up and taken by somebody else.
    """

    user_key: str
    user_id: str
    session_id: str
    permissions: frozenset[str]
    issued_at: int
    expires_at: int
    authenticated_at: int
    token_id: str

    def may(self, permission: str) -> bool:
        """Whether the user has this permission."""
        return permission in self.permissions or ADMIN in self.permissions

    def require(self, *permissions: str) -> None:
        """Raises PermissionMissing for the first one that the user doesn't have."""
        for each in permissions:
            if not self.may(each):
                raise PermissionMissing(each)
