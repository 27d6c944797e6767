"""What is refused, for people: a page that says what happened, and what to do.

Programs get a problem as always. Knows no form and no use case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from litestar import Response
from litestar.exceptions import NotFoundException

from app.http import oauth_error
from app.http.auth import header
from app.http.explanation import EXPLANATIONS
from app.http.problem import headers_of, status_of
from app.http.problems import AnyRequest, allow_of, refusal_of
from app.web.accepting import prefers_html
from app.web.page import NO_HEADERS, page
from app.web.redirect import LogInFirst, to_login
from domain import errors
from domain.errors import GatebookError

PAGES: Final = frozenset({"", "login", "account", "admin", "model", "docs", "web"})
"""First segments of the paths at which only pages are, and what they post to."""
_REMEDIES: Final = {
    "invalid_request": "Go back, load the page again, and send the form once more. If you came by "
    "a link, it may be an old one.",
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


def answer_anywhere(request: AnyRequest, error: Exception) -> Response[Any]:
    """The answer to what is raised before a handler is found: a page where pages are.

    Elsewhere it is one where there is nothing at all, for a browser that asks.
    """
    first = request.scope["path"].strip("/").partition("/")[0]
    nothing = isinstance(error, NotFoundException) or first == "errors"
    if first in PAGES or (nothing and prefers_html(request)):
        return answer(request, error)
    return oauth_error.answer_anywhere(request, error)
