"""Revocations, for verifiers that work offline: pages, and a stream that goes on."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from litestar import Response, get

from app.bootstrap import Service
from app.http.auth import caller_of, header, service_of
from app.http.controller import Controller
from app.http.page import LIMIT, START, After, Limit, paged
from app.http.problems import OF_THE_STORE, AnyRequest, refusals
from app.http.query import only_known
from app.http.stream import EventStream, message
from app.log_place import log_place
from app.revocation_feed import HeadSeen, Revocation, RevocationPage

_CACHED = {"cache-control": "public, max-age=1"}
_OF_A_PLACE = ("invalid_request", "log_changed", *OF_THE_STORE)


class RevocationController(Controller):
    """What offline verifiers must stop believing; says nothing of whom or why."""

    path = "/revocations"
    tags = ("Revocations",)
    before_request = staticmethod(only_known)

    @get(
        operation_id="listRevocations",
        summary="Ended sessions and withdrawn keys",
        responses=refusals(*_OF_A_PLACE),
    )
    async def list_revocations(
        self, request: AnyRequest, limit: Limit = LIMIT, after: After = START
    ) -> Response[RevocationPage]:
        """Those whose tokens can be unexpired still, in the order in which they were revoked."""
        found = await service_of(request).revocations.page(after or None, limit)
        return paged(request, found, _CACHED)

    @get(
        "/stream",
        operation_id="followRevocations",
        summary="The same as it happens, by server-sent events",
        responses=refusals("too_many_attempts", *_OF_A_PLACE),
        media_type="text/event-stream",
    )
    async def follow_revocations(self, request: AnyRequest, after: After = START) -> EventStream:
        """`revocation`, and `head` every second, after every revocation up to it."""
        resumed = header(request, b"last-event-id")
        place = (resumed or b"").decode("latin-1") or after or None
        return EventStream(_opened(service_of(request), caller_of(request).source, place))


@asynccontextmanager
async def _opened(
    service: Service, source: str, place: str | None
) -> AsyncIterator[AsyncIterator[bytes]]:
    with service.revocation_streams.opened(source):
        async with (
            service.revocations.following(place) as told,
            aclosing(_spelled(told, service.revocations.log_id)) as events,
        ):
            yield events


async def _spelled(
    told: AsyncIterator[Revocation | HeadSeen], log_id: str
) -> AsyncGenerator[bytes, None]:
    async for each in told:
        if isinstance(each, HeadSeen):
            yield message("head", each)
        else:
            yield message("revocation", each, log_place(log_id, each.position))
