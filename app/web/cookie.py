"""The cookie by which a browser holds its session (RFC 6265bis): pages alone read it.

Knows no session.
"""

from __future__ import annotations

from typing import Final

from app.http.auth import headers, service_of
from app.http.problems import AnyRequest

_NAME: Final = "gatebook"
_HOST: Final = "__Host-"
"""A browser takes such a cookie from https alone, and from no other host of the domain."""


def token_of(request: AnyRequest) -> str | None:
    """What the cookie holds; None without one, and when there are several."""
    name = _name(request)
    found = [
        value
        for line in headers(request, b"cookie")
        for each in line.decode("latin-1").split(";")
        for key, _, value in [each.strip().partition("=")]
        if key == name
    ]
    return found[0] if len(found) == 1 else None


def kept(request: AnyRequest, token: str) -> str:
    """The header's value that lets the browser keep a token until it is closed."""
    return f"{_name(request)}={token}; Path=/; HttpOnly; SameSite=Strict{_secure(request)}"


def dropped(request: AnyRequest) -> str:
    """The header's value that lets the browser forget it."""
    return f"{kept(request, '')}; Max-Age=0"


def _name(request: AnyRequest) -> str:
    return f"{_HOST}{_NAME}" if _is_https(request) else _NAME


def _secure(request: AnyRequest) -> str:
    return "; Secure" if _is_https(request) else ""


def _is_https(request: AnyRequest) -> bool:
    return service_of(request).settings.issuer.startswith("https:")
