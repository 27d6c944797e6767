"""The log as it happens, for a page: each event as the piece of the page that shows it.

By the page's cookie, for as long as its session and the permission last; it counts among the
streams of its source.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import msgspec
from litestar import get

from app.audit import Wanted, check_type
from app.event_feed import Told
from app.http.auth import caller_of, header, service_of
from app.http.form import FormRequest
from app.http.stream import EventStream, message
from app.web.admin.entry import entry_of
from app.web.admin.section import READ_EVENTS, shared
from app.web.asked import EventType, Word
from app.web.controller import PageController
from app.web.page import render, visitor_of
from app.web.visiting import standing
from domain.errors import Fault, InvalidRequest, InvalidToken
from domain.user_key import is_user_key


class Piece(msgspec.Struct, frozen=True):
    """An event, as HTML."""

    position: int
    html: str


class Beat(msgspec.Struct, frozen=True):
    """Nothing new: a page hears that it goes on, which of a comment it wouldn't."""


class LiveLog(PageController):
    """For whoever may read events."""

    @get("/web/admin/log/live", media_type="text/event-stream")
    async def follow(
        self,
        request: FormRequest,
        user_key: Word = "",
        kind: EventType = "",
        after: Word = "",
    ) -> EventStream:
        """Each `event` once, after the place that the page was made at or the last one heard.

        Who isn't logged in is refused: a stream leads nowhere else.
        """
        if visitor_of(request) is None:
            raise InvalidToken("Log in to see the log as it happens.", shown=False)
        lasting = standing(request, READ_EVENTS)
        if user_key and not is_user_key(user_key):
            raise InvalidRequest.of(Fault("/user_key", "This is no user_key."))
        wanted = Wanted(user_key or None, check_type(kind) if kind else None)
        resumed = (header(request, b"last-event-id") or b"").decode("latin-1")
        return EventStream(_following(request, wanted, resumed or after or None), lasting)


@asynccontextmanager
async def _following(
    request: FormRequest, wanted: Wanted, place: str | None
) -> AsyncIterator[AsyncIterator[bytes]]:
    service = service_of(request)
    with service.live_streams.opened(caller_of(request).source):
        async with (
            service.event_feed.following(wanted, place) as told,
            aclosing(_spelled(request, told)) as pieces,
        ):
            yield pieces


async def _spelled(request: FormRequest, told: AsyncIterator[Told]) -> AsyncGenerator[bytes, None]:
    async for each in told:
        pieces, known = [], shared(request)  # links are for what may be seen now
        for item in each.items:
            html = render(request, "admin/entry.html", entry=entry_of(item), **known).decode()
            pieces.append(message("event", Piece(item.position, html), each.place_of(item)))
        yield b"".join(pieces) or message("beat", Beat(), each.place)
