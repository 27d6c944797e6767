"""The log for administrators, by user, type and time: a page of it, or all of it as lines.

A page is looked for in parts of the log, between which other lists are read. Nothing is told that a
fail-over could take back. Knows no HTTP.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Final

import msgspec

from app import audit
from app.audit import EventItem, Wanted, places, read_page
from app.confirmed import Confirmed, Seen
from app.json_lines import json_line
from app.log_place import log_place, position_of
from app.paging import MAX_LIMIT, Order, Page, Part
from app.reading import Reading
from app.vault import Vault
from projections.storage import Rows

LOOK_FOR: Final = 0.5
"""Seconds after which a page is given as it is, with the place that the look has come to."""
LINES: Final = 500
"""Events that are read at a time for a reader who wants all of them."""


class Walk(msgspec.Struct, frozen=True):
    """What of a log is still to be looked through: after a position up to another, or back."""

    seen: Seen
    after: int
    last: int
    back: bool

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self.after >= self.last

    @property
    def place(self) -> str:
        """Where to go on."""
        return self.place_of(self.last + 1 if self.back else self.after)

    def place_of(self, position: int) -> str:
        """Where to go on behind an event."""
        return log_place(self.seen.head.log_id, position)

    def beyond(self, reached: int) -> Walk:
        """What is left when it was looked through up to there."""
        if self.back:
            return msgspec.structs.replace(self, last=reached)
        return msgspec.structs.replace(self, after=reached)


def begin(rows: Rows, seen: Seen, wanted: Wanted, place: str | None, order: Order) -> Walk:
    """All that a reader may find from a place on, up to the head that was seen just now.

    Raises `InvalidRequest` and `LogChanged` for the place.
    """
    after, last = places(rows, wanted)
    if place is not None:
        position = position_of(place, seen.head)
        if order == "desc":
            last = min(last, position - 1)
        else:
            after = max(after, position)
    return Walk(seen, after, last, order == "desc")


class EventPages:
    """Belongs to the event loop. `tick` gives seconds."""

    def __init__(
        self,
        reading: Reading,
        vault: Vault,
        confirmed: Confirmed,
        *,
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reading = reading
        self._vault = vault
        self._confirmed = confirmed
        self._tick = tick

    async def page(self, wanted: Wanted, part: Part) -> Page[EventItem]:
        """A part of the wanted events; perhaps fewer than its limit, though there are more.

        Nothing is passed over: what can't be shown ends the page before it, and is raised when it
        is the first, as `Damage` or `Unavailable`. Raises as `begin` does for the place, and
        `Unavailable` for what can't be confirmed.
        """
        until = self._tick() + LOOK_FOR
        items: list[EventItem] = []
        walk, found = await self._first(wanted, part.after, part.order, part.limit + 1)
        while True:
            items += found.items
            if found.failure is not None and not items:
                raise found.failure
            shown = items[: part.limit]
            if found.failure is not None or len(items) > part.limit:
                return Page(shown, walk.place_of(shown[-1].position))
            walk = walk.beyond(found.reached)
            if walk.over:
                return Page(shown, None)
            if self._tick() >= until:
                return Page(shown, walk.place)
            found = await self._next(wanted, walk, part.limit + 1 - len(items))

    @asynccontextmanager
    async def lines(
        self, wanted: Wanted, place: str | None, order: Order
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """All wanted events from a place up to the head that there is now, as lines of JSON.

        Raises as `page` does, before anything is given and in between: then it is not all.
        """
        walk, found = await self._first(wanted, place, order, LINES)
        if found.failure is not None and not found.items:
            raise found.failure
        async with aclosing(self._all(wanted, walk, found)) as lines:
            yield lines

    async def _all(
        self, wanted: Wanted, walk: Walk, found: audit.Page
    ) -> AsyncGenerator[bytes, None]:
        while True:
            if found.items:
                yield "".join(f"{json_line(each)}\n" for each in found.items).encode()
            if found.failure is not None:
                raise found.failure
            walk = walk.beyond(found.reached)
            if walk.over:
                return
            found = await self._next(wanted, walk, LINES)

    async def _first(
        self, wanted: Wanted, place: str | None, order: Order, limit: int
    ) -> tuple[Walk, audit.Page]:
        def read(rows: Rows) -> tuple[Walk, audit.Page]:
            walk = begin(rows, self._confirmed.seen(rows), wanted, place, order)
            return walk, _looked(rows, self._vault, wanted, walk, limit)

        walk, found = await self._reading.read(read)
        return walk, await self._told(walk, found)

    async def _next(self, wanted: Wanted, walk: Walk, limit: int) -> audit.Page:
        found = await self._reading.read(
            lambda rows: _looked(rows, self._vault, wanted, walk, limit)
        )
        return await self._told(walk, found)

    async def _told(self, walk: Walk, found: audit.Page) -> audit.Page:
        """What was found, once all is confirmed that it tells of; a part of the past is already."""
        if (walk.last if walk.back else found.reached) > walk.seen.sure:
            await self._confirmed.reached(walk.seen.head)
        return found


def _looked(rows: Rows, vault: Vault, wanted: Wanted, walk: Walk, limit: int) -> audit.Page:
    most = min(limit, MAX_LIMIT + 1)
    return read_page(rows, vault, wanted, walk.after, walk.last, most, back=walk.back)
