"""What every controller of pages is: it answers people, refusals too.

Knows no page.
"""

from __future__ import annotations

from litestar.exceptions import HTTPException

from app.http.controller import Controller
from app.http.form import FormRequest
from app.web import refusal
from app.web.arriving import arrive


class PeopleController(Controller):
    """What pages use, none of the JSON API: what is refused there is a page."""

    include_in_schema = False
    exception_handlers = {HTTPException: refusal.answer, Exception: refusal.answer}  # noqa: RUF012 - Litestar's own attribute


class PageController(PeopleController):
    """Pages of one noun, and what their forms post to."""

    request_class = FormRequest
    before_request = staticmethod(arrive)
