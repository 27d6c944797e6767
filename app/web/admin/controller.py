"""What every controller of the administration is.

Knows no page.
"""

from __future__ import annotations

from litestar import Response
from litestar.exceptions import HTTPException

from app.http.auth import header
from app.http.problems import AnyRequest
from app.web import refusal
from app.web.controller import PageController


def answer(request: AnyRequest, error: Exception) -> Response[bytes]:
    """The page of a refusal, which takes the whole place where a part of a page was asked for."""
    found = refusal.answer(request, error)
    if header(request, b"hx-request") is not None:
        found.headers["hx-retarget"] = "#content"
        found.headers["hx-reselect"] = "#content > *"
        found.headers["hx-reswap"] = "innerHTML show:window:top"
    return found


class AdminController(PageController):
    """Pages of the administration, and what their forms post to."""

    exception_handlers = {HTTPException: answer, Exception: answer}  # noqa: RUF012 - Litestar's own attribute
