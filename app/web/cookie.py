"""The cookies of pages (RFC 6265bis): by one a browser holds its session, by one what was done.

Pages alone read them. Knows no session.
"""

from __future__ import annotations

from typing import Final

from app.http.auth import headers, service_of
from app.http.problems import AnyRequest

DONE: Final = "gatebook-done"

_NAME: Final = "gatebook"
_HOST: Final = "__Host-"
"""A browser takes such a cookie from https alone, and from no other host of the domain."""


def token_of(request: AnyRequest) -> str | None:
    """What the session's cookie holds; None without one, and when there are several."""
    return value_of(request, _NAME)


def value_of(request: AnyRequest, called: str) -> str | None:
    """What the cookie of this name holds; likewise."""
    name = _name(request, called)
    found = [
        value
        for line in headers(request, b"cookie")
        for each in line.decode("latin-1").split(";")
        for key, _, value in [each.strip().partition("=")]
        if key == name
    ]
    return found[0] if len(found) == 1 else None


def kept(request: AnyRequest, value: str, called: str = _NAME) -> str:
    """The header's value that lets the browser keep it until it is closed."""
    return f"{_name(request, called)}={value}; Path=/; HttpOnly; SameSite=Strict{_secure(request)}"


def dropped(request: AnyRequest, called: str = _NAME) -> str:
    """The header's value that lets the browser forget it."""
    return f"{kept(request, '', called)}; Max-Age=0"


def _name(request: AnyRequest, called: str) -> str:
    return f"{_HOST}{called}" if _is_https(request) else called


def _secure(request: AnyRequest) -> str:
    return "; Secure" if _is_https(request) else ""


def _is_https(request: AnyRequest) -> bool:
    return service_of(request).settings.issuer.startswith("https:")
