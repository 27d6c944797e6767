"""Projections: how far each view is, and filling one again beside its live table."""

from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.params import FromPath

from app.clock import now
from app.http.auth import service_of
from app.http.form import FormRequest
from app.projection_list import item, items
from app.web.admin.outcome import outcome_of
from app.web.admin.section import READ_PROJECTIONS, WRITE_PROJECTIONS, admin_page, entering
from app.web.asked import Number, Word
from app.web.controller import PageController
from app.web.posted import posted
from app.web.redirect import redirect
from projections.live import read_pointers


class ProjectionsPages(PageController):
    """For whoever may read projections; what is posted takes `projections:write`."""

    @get("/admin/projections")
    async def show_projections(
        self, request: FormRequest, rebuilt: Word = "", build: Number = 0, done: Word = ""
    ) -> Response[bytes]:
        """All of them; of one that was to be rebuilt also what came of it."""
        entering(request, READ_PROJECTIONS)
        moment = now()
        found, pointers = await service_of(request).reading.read(
            lambda rows: (items(rows, moment), read_pointers(rows))
        )
        outcome = outcome_of(found, pointers, rebuilt, build)
        query = urlencode({"rebuilt": rebuilt, "build": build}) if rebuilt else ""
        return admin_page(
            request, "projections.html", views=found, outcome=outcome, query=query, done=done
        )

    @post("/web/admin/projections/{name:str}/rebuild")
    async def rebuild(self, name: FromPath[str], request: FormRequest) -> Response[bytes]:
        """Begin; the page tells how far it is."""
        entering(request, WRITE_PROJECTIONS)
        accept = (await posted(request, "accept"))["accept"] == "yes"
        service, moment = service_of(request), now()
        before = await service.reading.read(
            lambda rows: (item(rows, name, moment), read_pointers(rows)[name].build)
        )
        await service.rebuilding.start(name, accept=accept)
        query = urlencode({"rebuilt": name, "build": before[1]})
        return redirect(request, f"/admin/projections?{query}")

    @post("/web/admin/projections/{name:str}/cancel")
    async def cancel(self, name: FromPath[str], request: FormRequest) -> Response[bytes]:
        """Give up a rebuild; the live table stays as it is."""
        entering(request, WRITE_PROJECTIONS)
        service, moment = service_of(request), now()
        await service.reading.read(lambda rows: item(rows, name, moment))
        await service.rebuilding.cancel(name)
        return redirect(request, "/admin/projections?done=cancelled")

    @post("/web/admin/projections/retry")
    async def retry(self, request: FormRequest) -> Response[bytes]:
        """Let those that stopped at an event try it again."""
        entering(request, WRITE_PROJECTIONS)
        tried = await service_of(request).following.retry()
        return redirect(request, f"/admin/projections?done={'retried' if tried else 'none'}")
