"""What each problem's `type` leads to: what it means and what to do."""

from litestar import Controller, Response, get
from litestar.params import FromPath

from app.http.problem import BY_CODE, status_of
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
        """Title, status and meaning of the problem with this code."""
        cls = BY_CODE.get(code)
        if cls is None:
            raise NotFound("There is no problem of that code.")
        meaning = (cls.__doc__ or "").strip()
        text = f"{cls.title} ({code}, {status_of(cls)})\n\n{meaning}\n"
        return Response(text, media_type="text/plain; charset=utf-8")
