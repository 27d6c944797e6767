"""Projections: how far each view is, and filling one again beside its live table."""

from typing import Any, Final

from litestar import Response, get, post
from litestar.params import FromPath

from app.clock import now
from app.http.auth import header, service_of
from app.http.form import FormRequest
from app.projection_list import item, items
from app.web.admin.outcome import Outcome, outcome_of
from app.web.admin.section import READ_PROJECTIONS, WRITE_PROJECTIONS, admin_page, entering
from app.web.controller import PageController
from app.web.done import done_before, then
from app.web.page import NO_HEADERS
from app.web.posted import posted
from projections.live import read_pointers

_SETTLED: Final = ("swapped", "stopped", "gone")
"""What came of a rebuild when there is nothing left to do about it."""

AT: Final = "/admin/projections"
REBUILT: Final = "rebuilt"


class ProjectionsPages(PageController):
    """For whoever may read projections; what is posted takes `projections:write`."""

    @get(AT)
    async def show_projections(self, request: FormRequest) -> Response[bytes]:
        """All of them; of one that was to be rebuilt also what came of it."""
        entering(request, READ_PROJECTIONS)
        moment, done = now(), done_before(request)
        found, pointers = await service_of(request).reading.read(
            lambda rows: (items(rows, moment), read_pointers(rows))
        )
        outcome = outcome_of(found, pointers, *done.more) if done.what == REBUILT else None
        headers = NO_HEADERS if outcome and _may_be_asked_for_again(request, outcome) else done.over
        told: dict[str, Any] = {"views": found, "outcome": outcome, "done": done.what}
        return admin_page(request, "projections.html", headers=headers, **told)

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
        return then(request, AT, REBUILT, name, str(before[1]))

    @post("/web/admin/projections/{name:str}/cancel")
    async def cancel(self, name: FromPath[str], request: FormRequest) -> Response[bytes]:
        """Give up a rebuild; the live table stays as it is."""
        entering(request, WRITE_PROJECTIONS)
        service, moment = service_of(request), now()
        await service.reading.read(lambda rows: item(rows, name, moment))
        await service.rebuilding.cancel(name)
        return then(request, AT, "cancelled")

    @post("/web/admin/projections/retry")
    async def retry(self, request: FormRequest) -> Response[bytes]:
        """Let those that stopped at an event try it again."""
        entering(request, WRITE_PROJECTIONS)
        tried = await service_of(request).following.retry()
        return then(request, AT, "retried" if tried else "none")


def _may_be_asked_for_again(request: FormRequest, outcome: Outcome) -> bool:
    """While it goes on, or waits to be accepted; and by another page that asks how far it is."""
    return outcome.what not in _SETTLED or header(request, b"hx-request") is not None
