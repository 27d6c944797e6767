"""The log, for administrators: pages, all of it as lines, and a stream that goes on."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Final

from litestar import Response, get
from litestar.datastructures import Accept
from litestar.params import QueryParameter

from app.audit import Wanted, check_type
from app.bootstrap import Service
from app.event_feed import Told
from app.http.auth import allowed, caller_of, header, service_of
from app.http.body import StrictRequest
from app.http.controller import Controller
from app.http.me import EventPage
from app.http.page import LIMIT, START, After, InOrder, Limit, paged
from app.http.problems import BEARER, OF_THE_STORE, refusals
from app.http.query import only_known
from app.http.standing import Standing
from app.http.stream import LINES, EventStream, LineStream, message
from app.log_place import is_place
from app.paging import Part
from app.timestamps import parse_rfc3339
from domain.errors import Fault, InvalidRequest
from domain.user_key import is_user_key

READ: Final = "events:read"

ANY: Final = ""
UserKey = Annotated[str, QueryParameter(description="Only events about this user.")]
Type = Annotated[str, QueryParameter(description="Only events of this type.")]
Since = Annotated[str, QueryParameter(description="Only events from this moment on.")]
Until = Annotated[str, QueryParameter(description="Only events before this moment.")]
Place = Annotated[
    str, QueryParameter(max_length=64, description="LOG_ID:POSITION of the last event received.")
]

_JSON: Final = "application/json"
_REFUSALS: Final = (
    "invalid_request", "invalid_token", "insufficient_permission", "log_changed", *OF_THE_STORE,
)  # fmt: skip
_REFUSED: Final = re.compile(r"[^,]*;\s*q=0(\.0{0,3})?\s*(;[^,]*)?(,|$)", re.IGNORECASE)
"""What a client says that it doesn't accept (RFC 9110 §12.4.2)."""
_NOTHING_NEW: Final = b":\n\n"


class EventController(Controller):
    """What happened, to everybody."""

    path = "/events"
    tags = ("Events",)
    before_request = staticmethod(only_known)
    security = BEARER

    @get(
        operation_id="listEvents",
        summary="The log, by user, type and time [events:read]",
        responses=refusals(*_REFUSALS),
    )
    async def list_events(
        self,
        request: StrictRequest,
        user_key: UserKey = ANY,
        type: Type = ANY,  # noqa: A002 - the parameter's name
        since: Since = ANY,
        until: Until = ANY,
        limit: Limit = LIMIT,
        after: After = START,
        order: InOrder = "asc",
    ) -> Response[EventPage] | LineStream:
        """Oldest first, unless asked otherwise. A time may be a date, and have an offset.

        A page may have fewer events than its limit, even none, and lead on all the same: `next`
        null alone says that there are no more now. `after` is LOG_ID:POSITION; of another log, or
        beyond the end of this one, it is `log_changed`.

        With `Accept: application/x-ndjson` all events are sent, to where the log ends when it
        begins; `limit` has no meaning then, and is refused. It is complete when the body is
        (RFC 9112 §8): whenever it can't or mustn't go on, it is cut off. Ask again after the last
        event that came, to go on or to hear why.
        """
        standing = await _standing(request)
        wanted = _wanted(request, user_key, type, since, until)
        pages = service_of(request).event_pages
        if _asks_for_lines(request):
            return LineStream(pages.lines(wanted, after or None, order), standing)
        found = await pages.page(wanted, Part(limit, after or None, order))
        return paged(request, EventPage(found.items, found.next), {"vary": "Accept"})

    @get(
        "/stream",
        operation_id="followEvents",
        summary="The same as it happens, by server-sent events [events:read]",
        responses=refusals("too_many_attempts", *_REFUSALS),
        media_type="text/event-stream",
    )
    async def follow_events(
        self,
        request: StrictRequest,
        user_key: UserKey = ANY,
        type: Type = ANY,  # noqa: A002 - the parameter's name
        after: Place = START,
    ) -> EventStream:
        """Each `event` once, in the log's order, with its place as `id`.

        It goes on after the place in `Last-Event-ID` or `after`. Without one it begins now: the
        first thing sent is an `id` alone, of the place that is. Comments come when nothing else
        does, at least every two seconds. It ends when its access token, its session or the
        permission does, and with the service; whoever resumes misses nothing.
        """
        standing = await _standing(request)
        wanted = _wanted(request, user_key, type)
        resumed = header(request, b"last-event-id")
        place = (resumed or b"").decode("latin-1") or after or None
        if resumed and not is_place(place):
            raise InvalidRequest.of(Fault("/Last-Event-ID", "This header is LOG_ID:POSITION."))
        source = caller_of(request).source
        return EventStream(_following(service_of(request), source, wanted, place), standing)


async def _standing(request: StrictRequest) -> Standing:
    """That the caller may read events now, and what finds out for how long."""
    await allowed(request, READ)
    return Standing(lambda: allowed(request, READ), service_of(request).stopping)


def _asks_for_lines(request: StrictRequest) -> bool:
    """Whether lines are what it likes best; raises `InvalidRequest` for a limit of them."""
    accepted = _REFUSED.sub("", request.headers.get("accept", ""))
    if not accepted or Accept(accepted).best_match([_JSON, LINES], _JSON) != LINES:
        return False
    if "limit" in request.query_params:
        raise _wrong("limit", "All events are sent: leave it out, or ask for a page.")
    return True


def _wanted(
    request: StrictRequest, user_key: str, kind: str, since: str = ANY, until: str = ANY
) -> Wanted:
    """Raises `InvalidRequest` for what names no user, no type or no moment, an empty text too."""
    given = request.query_params
    if "user_key" in given and not is_user_key(user_key):
        raise _wrong("user_key", "A user_key is uk_ and 26 characters, as /users has it.")
    return Wanted(
        user_key if "user_key" in given else None,
        check_type(kind) if "type" in given else None,
        _moment("since", since) if "since" in given else None,
        _moment("until", until) if "until" in given else None,
    )


def _moment(name: str, text: str) -> int:
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise _wrong(name, f"{error} Send the + of an offset as %2B.") from None


def _wrong(name: str, why: str) -> InvalidRequest:
    return InvalidRequest.of(Fault(f"/{name}", why))


@asynccontextmanager
async def _following(
    service: Service, source: str, wanted: Wanted, place: str | None
) -> AsyncIterator[AsyncIterator[bytes]]:
    with service.live_streams.opened(source):
        async with (
            service.event_feed.following(wanted, place) as told,
            aclosing(_spelled(told, place)) as events,
        ):
            yield events


async def _spelled(told: AsyncIterator[Told], place: str | None) -> AsyncGenerator[bytes, None]:
    """Each event with its place; a place that was reached without any stands alone."""
    async for each in told:
        pieces = [message("event", item, each.place_of(item)) for item in each.items]
        if not pieces:
            pieces = [_NOTHING_NEW if each.place == place else b"id: %s\n\n" % each.place.encode()]
        place = each.place
        yield b"".join(pieces)
