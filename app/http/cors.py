"""Which pages of other origins may call the API from a browser (Fetch §3.2): those that are named.

Opens what a user does for itself, without cookies. Knows no handler.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from litestar.types import ASGIApp, Message, Receive, Scope, Send

OPEN: Final = frozenset(
    {"register", "authenticate", "refresh", "userkey", "revoke", "me", "sessions"}
)
"""First segments of the paths that are opened."""

_VARY: Final = (b"vary", b"Origin")
_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, POST, DELETE"),
    (b"access-control-allow-headers", b"Authorization, Content-Type"),
    (b"access-control-max-age", b"600"),
)
_EXPOSED: Final = (b"access-control-expose-headers", b"Link, Retry-After, X-Request-Id")


class Cors:
    """The app, open to pages of some origins."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(each.encode() for each in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, and say in other answers who may read them."""
        asked: dict[str, Any] = scope  # type: ignore[assignment]
        if asked["type"] != "http" or asked["path"].lstrip("/").partition("/")[0] not in OPEN:
            await self._app(scope, receive, send)
            return
        headers = dict(asked["headers"])
        origin = headers.get(b"origin")
        allowed = (
            [(b"access-control-allow-origin", origin), _EXPOSED, _VARY]
            if origin in self._origins
            else [_VARY]
        )
        if asked["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            more = _PREFLIGHT if len(allowed) > 1 else ()
            await send({"type": "http.response.start", "status": 204, "headers": [*allowed, *more]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *allowed]
            await send(message)

        await self._app(scope, receive, sending)
