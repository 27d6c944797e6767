"""Projections, for operators: how far each is, and rebuilding one beside its live table."""

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath, JSONBody

from app.clock import now
from app.http.auth import allowed, service_of
from app.http.body import StrictRequest
from app.http.controller import Controller
from app.http.problems import BEARER, OF_A_BODY, OF_THE_STORE, refusals
from app.http.query import only_known
from app.projection_list import ProjectionItem, item, items

READ = "projections:read"
WRITE = "projections:write"

_OF_A_CHANGE = (
    "invalid_request", "invalid_token", "insufficient_permission", "not_found", *OF_THE_STORE,
)  # fmt: skip


class ProjectionPage(msgspec.Struct, frozen=True):
    """All projections; `next` is always null."""

    items: list[ProjectionItem]
    next: None


class RebuildWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a live table that differs from the log may be swapped for what the log says."""

    accept: bool = False


class ProjectionController(Controller):
    """The views that are kept from the log."""

    path = "/projections"
    tags = ("Projections",)
    before_request = staticmethod(only_known)
    security = BEARER

    @get(
        operation_id="listProjections",
        summary="The projections, and how far each is [projections:read]",
        responses=refusals(
            "invalid_request", "invalid_token", "insufficient_permission", *OF_THE_STORE
        ),
    )
    async def list_projections(self, request: StrictRequest) -> ProjectionPage:
        """Inline ones are written with the events, following ones soon after."""
        await allowed(request, READ)
        moment = now()
        found = await service_of(request).reading.read(lambda rows: items(rows, moment))
        return ProjectionPage(found, None)

    @post(
        "/{name:str}/rebuild",
        operation_id="rebuildProjection",
        summary="Fill a view again beside its live table, and swap [projections:write]",
        status_code=202,
        responses=refusals("rebuild_running", *OF_A_BODY, *_OF_A_CHANGE),
    )
    async def rebuild_projection(
        self, name: FromPath[str], data: JSONBody[RebuildWish], request: StrictRequest
    ) -> ProjectionItem:
        """The service goes on answering; look here again for how far it is.

        Should the live table differ from what the log says, `error` names the rows, and it stays;
        with `accept` it is swapped all the same. One rebuild runs at a time.
        """
        await allowed(request, WRITE)
        service, moment = service_of(request), now()
        await service.rebuilding.start(name, accept=data.accept)
        return await service.reading.read(lambda rows: item(rows, name, moment))

    @delete(
        "/{name:str}/rebuild",
        operation_id="cancelRebuild",
        summary="Give up a rebuild [projections:write]",
        responses=refusals(*_OF_A_CHANGE),
    )
    async def cancel_rebuild(self, name: FromPath[str], request: StrictRequest) -> None:
        """The live table stays as it is. Repeated, it changes nothing."""
        await allowed(request, WRITE)
        service, moment = service_of(request), now()
        await service.reading.read(lambda rows: item(rows, name, moment))
        await service.rebuilding.cancel(name)
