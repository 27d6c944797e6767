"""What each problem's `type` leads to: what it means and what to do."""

from litestar import Response, get
from litestar.params import FromPath

from app.http.controller import Controller
from app.http.explanation import EXPLANATIONS, text_of
from app.http.problem import BY_CODE, status_of
from app.http.problems import AnyRequest, refusals
from app.web.accepting import prefers_html
from app.web.arriving import arrive
from app.web.page import page
from domain.errors import NotFound


class ErrorController(Controller):
    """The problems, for people."""

    tags = ("Operations",)
    before_request = staticmethod(arrive)

    @get(
        "/errors/{code:str}",
        operation_id="explainError",
        summary="What a problem means",
        media_type="text/plain",
        responses=refusals("not_found"),
    )
    async def explain_error(
        self, code: FromPath[str], request: AnyRequest
    ) -> Response[str] | Response[bytes]:
        """Title, status and meaning of the problem with this code, and what to do.

        To a browser it is a page.
        """
        if code not in EXPLANATIONS:
            raise NotFound("There is no problem of that code.")
        if prefers_html(request):
            cls, told = BY_CODE[code], EXPLANATIONS[code]
            shown = {"title": cls.title, "code": code, "status": status_of(cls), "told": told}
            return page(request, "error.html", headers={"vary": "Accept"}, shown=shown)
        headers = {"cache-control": "public, max-age=3600", "vary": "Accept"}
        return Response(text_of(code), media_type="text/plain", headers=headers)
