"""Which pages of other origins may call the API from a browser (Fetch §3.2): the only place for it.

What a user does for itself is open to pages that are named, without cookies; what verifiers need,
and what leads them there, to every page. Stands outside of all else, so that every answer says so,
a refusal too. Knows no handler.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from functools import lru_cache
from typing import Any, Final, Literal

from litestar.types import ASGIApp, Message, Receive, Scope, Send

OPEN: Final = frozenset(
    {"register", "authenticate", "refresh", "userkey", "revoke", "me", "sessions"}
)
"""First segments of the paths that are opened to the origins that are named."""
OPEN_TO_ALL: Final = frozenset(
    {
        ("revocations",),
        (".well-known", "jwks.json"),
        (".well-known", "oauth-authorization-server"),
    }
)
"""First segments of the paths that are open to every origin."""

Header = tuple[bytes, bytes]

_VARY: Final = (b"vary", b"Origin")
_EXPOSED: Final = (
    b"access-control-expose-headers",
    # The challenge says whether a new token would help (RFC 6750 §3.1).
    b"Link, Retry-After, WWW-Authenticate, X-Request-Id",
)
_MAX_AGE: Final = (b"access-control-max-age", b"600")
_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, POST, DELETE"),
    (b"access-control-allow-headers", b"Authorization, Content-Type"),
    _MAX_AGE,
)
_TO_ALL: Final = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"ETag, Link, Retry-After, X-Request-Id"),
)
_PREFLIGHT_TO_ALL: Final = (
    (b"access-control-allow-methods", b"GET"),
    (
        b"access-control-allow-headers",
        b"Cache-Control, If-Modified-Since, If-None-Match, Last-Event-ID",
    ),
    _MAX_AGE,
)


class Cors:
    """The app, open to pages of these origins, and where everybody may read to all."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(each.encode() for each in origins)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Say in the answer who may read it; in one to OPTIONS, who may ask for what."""
        asked: dict[str, Any] = scope  # type: ignore[assignment]
        said = self._said(asked) if asked["type"] == "http" else ()
        return self._app(scope, receive, _saying(said, send) if said else send)

    def _said(self, asked: dict[str, Any]) -> tuple[Header, ...]:
        opened = _opened(asked["path"])
        if not opened or (opened == "named" and not self._origins):
            return ()
        headers = dict(asked["headers"])
        preflight = asked["method"] == "OPTIONS" and b"access-control-request-method" in headers
        if opened == "all":
            return (*_TO_ALL, *(_PREFLIGHT_TO_ALL if preflight else ()))
        origin = headers.get(b"origin")
        if origin not in self._origins:
            return (_VARY,)
        allowed = ((b"access-control-allow-origin", origin), _EXPOSED, _VARY)
        return (*allowed, *(_PREFLIGHT if preflight else ()))


def _saying(said: tuple[Header, ...], send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *said]
        await send(message)

    return sending


@lru_cache(maxsize=1024)
def _opened(path: str) -> Literal["all", "named", ""]:
    """To which origins a path is open."""
    segments = tuple(each for each in path.split("/") if each)
    if not OPEN_TO_ALL.isdisjoint({segments[:1], segments[:2]}):
        return "all"
    return "named" if OPEN.intersection(segments[:1]) else ""
