"""The log as it grows, for everybody who follows: each event once, in order, none left out.

While anybody follows, one look at the head serves all; those who are at one place share a read, and
nothing that was opened is kept. Positions are dense and come in the order of commits, so whoever
reads up to a head has missed nothing before it. Nothing is told that a fail-over could take back.
Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final

import msgspec
import structlog

from app.audit import EventItem, Page, Wanted, read_page
from app.confirmed import Confirmed
from app.eventstore.log import Head, Replaced, read_head
from app.log_place import log_place, position_of
from app.reading import Reading
from app.sharing import Sharing
from app.vault import Vault
from domain.errors import TryLater, Unavailable
from projections.storage import Rows

LOOK_EVERY: Final = 0.2
"""Seconds between two looks at the head, while anybody follows."""
BEAT_EVERY: Final = 1.0
"""Seconds between two signs of life when nothing happens."""
PAGE: Final = 100
"""Events that a follower is told at a time, and all that is held for one."""

_logger = structlog.get_logger("gatebook.event_feed")


class Told(msgspec.Struct, frozen=True):
    """Events, perhaps none, and the place up to which everything wanted was told."""

    items: list[EventItem]
    place: str

    def place_of(self, item: EventItem) -> str:
        """Where to go on behind one of the events."""
        return log_place(self.place.partition(":")[0], item.position)


class _Run:
    """Looks at one log, from the first follower until nobody follows or it is another log."""

    def __init__(self, head: Head) -> None:
        self.head = head
        """A head that followers rely on: without it it is another log."""
        self.sure = 0
        """How far the log is confirmed, and may be told; no further than that head."""
        self.asked: Head | None = None
        """What a look found, and the next go on to wait for the confirmation of."""
        self.looked = asyncio.Event()
        self.over = False

    def wake(self) -> None:
        """Have everybody who waits see what there is."""
        self.looked.set()
        self.looked = asyncio.Event()

    def end(self) -> None:
        """Tell nobody any more."""
        self.over = True
        self.wake()


class EventFeed:
    """Belongs to the event loop; ends when `stopping` is set. `tick` gives seconds.

    `head` says where the log ends: whatever was acknowledged before is in it. It raises `Replaced`
    for one that was known and isn't in the log. Nothing is told before it is `confirmed`.
    """

    def __init__(
        self,
        reading: Reading,
        vault: Vault,
        head: Callable[[Head | None], Awaitable[Head]],
        confirmed: Confirmed,
        stopping: asyncio.Event,
        *,
        tick: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._reading = reading
        self._vault = vault
        self._head = head
        self._confirmed = confirmed
        self._stopping = stopping
        self._tick = tick
        self._sleep = sleep
        self._reads: Sharing[tuple[_Run, Wanted, int], Page] = Sharing(0, 0, tick)
        self._followers = 0
        self._looking: asyncio.Task[None] | None = None
        self._run: _Run | None = None

    @asynccontextmanager
    async def following(
        self, wanted: Wanted, place: str | None
    ) -> AsyncIterator[AsyncIterator[Told]]:
        """The wanted events after a place, or from now on, as they come; ends with the service.

        What is told first has the place that it begins at. It ends also when the log is replaced:
        whoever resumes hears of that by the place. Raises `InvalidRequest` and `LogChanged` for the
        place, `TryLater` while the store is away, or can't confirm where now is, and why the first
        event can't be shown.
        """
        head = await self._newest()
        position = head.position if place is None else position_of(place, head)
        sure = await self._sure_of(head, needed=place is None)
        run = self._joined(head, position, sure)
        self._followers += 1
        try:
            first = await self._first(run, wanted, position)
            async with aclosing(self._told(run, wanted, head.log_id, position, first)) as told:
                yield told
        finally:
            self._followers -= 1

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _newest(self) -> Head:
        """Where the log ends. Who was told of another one is told no more."""
        run = self._run
        if run is not None and not run.over:
            try:
                return await self._head(run.head)
            except Replaced:
                run.end()
        return await self._head(None)

    async def _sure_of(self, head: Head, *, needed: bool) -> int:
        """Up to where it is confirmed: all of it, or what is `needed` of it."""
        try:
            await self._confirmed.reached(head)
        except TryLater:
            if needed:
                raise
            return 0
        return head.position

    def _joined(self, head: Head, position: int, sure: int) -> _Run:
        """The run of this log, which looks for news from now on."""
        run = self._run
        if run is None or run.over:
            if self._looking is not None:
                self._looking.cancel()
            run = self._run = _Run(head)
            self._looking = asyncio.create_task(self._look(run))
        elif max(position, sure) > run.head.position:
            run.head = head
        run.sure = max(run.sure, sure)
        return run

    async def _first(self, run: _Run, wanted: Wanted, position: int) -> Page | None:
        """What there is already; raises why the first of it can't be shown."""
        if position >= run.sure:
            return None
        try:
            first = await self._read(run, wanted, position)
        except Replaced as error:
            raise Unavailable from error
        if first.failure is not None and not first.items:
            raise first.failure
        return first

    async def _told(
        self, run: _Run, wanted: Wanted, log_id: str, position: int, first: Page | None
    ) -> AsyncGenerator[Told, None]:
        yield Told([], log_place(log_id, position))
        told_at = self._tick()
        while not self._stopping.is_set() and not run.over:
            try:
                found, first = first or await self._news(run, wanted, position), None
            except Replaced:
                return  # whoever resumes hears of it
            if found.failure is None:
                position = found.reached
            elif found.items:
                position = found.items[-1].position
            # Half of it: whoever is woken for a beat was told the last one a moment after its time.
            if found.items or self._tick() - told_at >= BEAT_EVERY / 2:
                yield Told(found.items, log_place(log_id, position))
                told_at = self._tick()
            if found.failure is not None:
                # Whoever resumes there hears why.
                _logger.error("event_not_told", place=position, detail=found.failure.detail)
                return

    async def _news(self, run: _Run, wanted: Wanted, position: int) -> Page:
        """What there is after a position; nothing after a while, if there is nothing."""
        if position < run.sure:
            with suppress(TryLater):
                return await self._read(run, wanted, position)
        if not run.over:
            await run.looked.wait()
        return Page([], position, None)

    async def _read(self, run: _Run, wanted: Wanted, position: int) -> Page:
        """The next wanted events; one read for all who come for them while it is under way.

        Raises `Replaced` when the log isn't the one of this run.
        """
        head, sure = run.head, run.sure

        def read(rows: Rows) -> Page:
            read_head(rows, head)
            return read_page(rows, self._vault, wanted, position, sure, PAGE)

        return await self._reads.get((run, wanted, position), lambda: self._reading.read(read))

    async def _look(self, run: _Run) -> None:
        """While anybody follows, see how far the log goes; wake everybody for news, or a beat."""
        woken_at, woken_for = self._tick(), 0
        try:
            while self._followers and not self._stopping.is_set() and not run.over:
                try:
                    await self._see(run)
                except TryLater:
                    pass  # whoever asks the store next is told
                except Replaced as error:
                    _logger.warning("events_of_another_log", detail=str(error))
                    return
                except Exception:
                    _logger.exception("head_not_read")
                if run.sure > woken_for or self._tick() - woken_at >= BEAT_EVERY:
                    woken_at, woken_for = self._tick(), run.sure
                    run.wake()
                await self._sleep(LOOK_EVERY)
        finally:
            run.end()

    async def _see(self, run: _Run) -> None:
        """Once. It waits so long that no beat is late; the next look waits on for the same."""
        head = await self._head(run.head)
        asked = run.asked = run.asked or head
        if asked.position > run.sure:
            try:
                await self._confirmed.reached(asked, LOOK_EVERY)
            except Unavailable as error:
                if not isinstance(error.__cause__, TimeoutError):
                    run.asked = None  # it may be of another log, and gone
                raise
            run.sure = max(run.sure, asked.position)
            if asked.position > run.head.position:
                run.head = asked
        run.asked = None
