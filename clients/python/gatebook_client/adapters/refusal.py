"""What a protected service answers when it lets nobody in: the same in every framework.

Follows RFC 6750 §3 and RFC 9457. Knows no framework.
"""

from __future__ import annotations

import math

import msgspec

from gatebook_client.errors import PermissionMissing, TokenRefused, TryLater

MEDIA_TYPE = "application/problem+json"


class Refusal(msgspec.Struct, frozen=True):
    """Status, code and detail of a problem, and the headers that go with it."""

    status: int
    title: str
    code: str
    detail: str
    headers: dict[str, str]
    permission: str | None = None

    @property
    def body(self) -> dict[str, object]:
        """The members of the problem."""
        more = {} if self.permission is None else {"permission": self.permission}
        return {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **more,
        }

    @property
    def content(self) -> bytes:
        """The problem as JSON."""
        return msgspec.json.encode(self.body)


MISSING = Refusal(
    401,
    "Unauthorized",
    "invalid_token",
    "This takes an access token: Authorization: Bearer …",
    {"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"},
)


def refusal_of(error: TokenRefused | TryLater) -> Refusal:
    """What an error of a verifier is answered with."""
    if isinstance(error, PermissionMissing):
        challenge = f'Bearer error="insufficient_scope", scope="{error.permission}"'
        return Refusal(
            403,
            "Forbidden",
            "insufficient_permission",
            str(error),
            {"WWW-Authenticate": challenge, "Cache-Control": "no-store"},
            error.permission,
        )
    if isinstance(error, TryLater):
        wait = str(math.ceil(error.retry_after or 1.0))
        detail = "Whether the access token is good can't be told at the moment."
        headers = {"Retry-After": wait, "Cache-Control": "no-store"}
        return Refusal(503, "Service Unavailable", "unavailable", detail, headers)
    headers = {
        "WWW-Authenticate": f'Bearer error="invalid_token", error_description="{error}"',
        "Cache-Control": "no-store",
    }
    return Refusal(401, "Unauthorized", "invalid_token", str(error), headers)
