"""The stream behind the light at the foot of every page: that the service is there, for anybody.

Says how far the log goes, and nothing of what is in it.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

import msgspec
from litestar import get

from app.bootstrap import Service
from app.http.auth import caller_of, service_of
from app.http.problems import AnyRequest
from app.http.stream import EventStream, message
from app.timestamps import rfc3339
from app.web.controller import PeopleController

_NOTHING_KNOWN: Final = b":\n\n"
"""The service is there, and its store doesn't say."""


class Beat(msgspec.Struct, frozen=True):
    """Where the log ends."""

    log_id: str
    position: int
    time: str


class LiveController(PeopleController):
    """The service's signs of life."""

    path = "/web/live"

    @get(media_type="text/event-stream")
    async def show_life(self, request: AnyRequest) -> EventStream:
        """A `head` each second; ends with the service. A source has few of them at a time."""
        return EventStream(_watching(service_of(request), caller_of(request).source))


@asynccontextmanager
async def _watching(service: Service, source: str) -> AsyncIterator[AsyncIterator[bytes]]:
    with service.live_streams.opened(source):
        async with aclosing(_spelled(service)) as beats:
            yield beats


async def _spelled(service: Service) -> AsyncGenerator[bytes, None]:
    async with aclosing(service.heartbeats.beats()) as beats:
        async for head in beats:
            if head is None:
                yield _NOTHING_KNOWN
            else:
                yield message("head", Beat(head.log_id, head.position, rfc3339(head.time)))
