"""What is refused, for people: a page that says what happened, and what to do.

Programs get a problem as always. Knows no form and no use case.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from litestar import Response
from litestar.exceptions import NotFoundException
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from app.http import oauth_error
from app.http.auth import header
from app.http.explanation import EXPLANATIONS
from app.http.problem import headers_of, status_of
from app.http.problems import AnyRequest, allow_of, refusal_of
from app.web.accepting import prefers_html
from app.web.arriving import find_visitor
from app.web.page import NO_HEADERS, page
from app.web.redirect import LogInFirst, to_login
from domain import errors
from domain.errors import GatebookError

PAGES: Final = frozenset({"", "registered", "login", "account", "admin", "model", "docs", "web"})
"""First segments of the paths at which only pages are, and what they post to."""
_REMEDIES: Final = {
    "invalid_request": "Go back, load the page again, and send the form once more. If you came by "
    "a link, it may be an old one.",
    "insufficient_permission": "Ask an administrator for it. Once it is given it counts at once: "
    "load this page again.",
    "not_found": "Check the address, or go on from the start page.",
    "method_not_allowed": "This address is one that forms are sent to. Go on from the start page.",
}
"""Where whoever looks at a page does something else than a program."""
_WHOLE_PLACE: Final = {
    "hx-retarget": "#content",
    "hx-reselect": "#content > *",
    "hx-reswap": "innerHTML show:window:top",
}
"""Where it takes the place of all that was there: a part of it would be nothing."""


def answer(request: AnyRequest, error: Exception) -> Response[bytes]:
    """The page that a raised exception becomes, whole also where a part of one was asked for."""
    if isinstance(error, LogInFirst):
        return to_login(request)
    refusal = refusal_of(request, error)
    return page(
        request,
        "refusal.html",
        status=status_of(type(refusal)),
        headers={**allow_of(error), **headers_of(refusal), **_place_of(request)},
        refusal=refusal,
        detail=detail_of(refusal),
        remedy=_REMEDIES.get(refusal.code) or EXPLANATIONS[refusal.code].remedy,
        request_id=request.scope["request_id"],  # type: ignore[typeddict-item]
    )


def _place_of(request: AnyRequest) -> Mapping[str, str]:
    return NO_HEADERS if header(request, b"hx-request") is None else _WHOLE_PLACE


def detail_of(refusal: GatebookError) -> str:
    """What happened, for whoever asked: of our own faults nothing."""
    return refusal.title if isinstance(refusal, errors.InternalError) else refusal.detail


class _Unarrived(Response[bytes]):
    """The page for whoever comes to where no handler is, and so was not looked for yet."""

    def __init__(self, request: AnyRequest, error: Exception) -> None:
        super().__init__(b"")
        self._request = request
        self._error = error

    def to_asgi_response(self, *_: object, **__: object) -> ASGIResponse:
        """What finds out who it is when it is sent."""
        return _Arriving(self._request, self._error)


class _Arriving(ASGIResponse):
    __slots__ = ("_error", "_request")

    def __init__(self, request: AnyRequest, error: Exception) -> None:
        super().__init__()
        self._request = request
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Where the store doesn't say who it is, it is a stranger.
        with suppress(GatebookError):
            await find_visitor(self._request)
        found = answer(self._request, self._error)
        await found.to_asgi_response(None, self._request)(scope, receive, send)


def answer_anywhere(request: AnyRequest, error: Exception) -> Response[Any]:
    """The answer to what is raised before a handler is found: a page where pages are.

    Elsewhere it is one where there is nothing at all, for a browser that asks.
    """
    first = request.scope["path"].strip("/").partition("/")[0]
    nothing = isinstance(error, NotFoundException) or first == "errors"
    if first in PAGES or (nothing and prefers_html(request)):
        return _Unarrived(request, error)
    return oauth_error.answer_anywhere(request, error)
