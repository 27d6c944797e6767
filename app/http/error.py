"""What each problem's `type` leads to: what it means and what to do."""

from litestar import Response, get
from litestar.params import FromPath

from app.http.controller import Controller
from app.http.explanation import EXPLANATIONS, text_of
from app.http.problems import refusals
from domain.errors import NotFound


class ErrorController(Controller):
    """The problems, for people."""

    tags = ("Operations",)

    @get(
        "/errors/{code:str}",
        operation_id="explainError",
        summary="What a problem means",
        media_type="text/plain",
        responses=refusals("not_found"),
    )
    async def explain_error(self, code: FromPath[str]) -> Response[str]:
        """Title, status and meaning of the problem with this code, and what to do."""
        if code not in EXPLANATIONS:
            raise NotFound("There is no problem of that code.")
        return Response(
            text_of(code),
            media_type="text/plain",
            headers={"cache-control": "public, max-age=3600"},
        )
