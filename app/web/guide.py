"""The start page: what this is, and where to go.

Knows no use case.
"""

from litestar import Response, get

from app.http.form import FormRequest
from app.web.controller import PageController
from app.web.page import page


class GuideController(PageController):
    """What a stranger sees first."""

    @get("/")
    async def show_guide(self, request: FormRequest) -> Response[bytes]:
        """The page."""
        return page(request, "guide.html")
