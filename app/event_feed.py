"""The log as it grows, for everybody who follows: each event once, in order, none left out.

While anybody follows, one look at the head serves all; those who are at one place share a read, and
nothing that was opened is kept. Positions are dense and come in the order of commits, so whoever
reads up to a head has missed nothing before it. Knows no HTTP.
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
from app.eventstore.log import Head, read_head
from app.log_place import log_place, position_of
from app.reading import Reading
from app.sharing import Sharing
from app.vault import Vault
from domain.errors import TryLater
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


class EventFeed:
    """Belongs to the event loop; ends when `stopping` is set. `tick` gives seconds.

    `head` says where the log ends: whatever was acknowledged before is in it.
    """

    def __init__(
        self,
        reading: Reading,
        vault: Vault,
        head: Callable[[], Awaitable[Head]],
        stopping: asyncio.Event,
        *,
        tick: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._reading = reading
        self._vault = vault
        self._head = head
        self._stopping = stopping
        self._tick = tick
        self._sleep = sleep
        self._reads: Sharing[tuple[Wanted, int], Page] = Sharing(0, 0, tick)
        self._followers = 0
        self._looking: asyncio.Task[None] | None = None
        self._seen = 0
        """How far the log went when it was last looked at."""
        self._looked = asyncio.Event()

    @asynccontextmanager
    async def following(
        self, wanted: Wanted, place: str | None
    ) -> AsyncIterator[AsyncIterator[Told]]:
        """The wanted events after a place, or from now on, as they come; ends with the service.

        What is told first has the place that it begins at. Raises `InvalidRequest` and `LogChanged`
        for the place, `TryLater` while the store is away, and why the first event can't be shown.
        """
        head = await self._head()
        position = head.position if place is None else position_of(place, head)
        first = await self._read(wanted, position) if position < head.position else None
        if first is not None and first.failure is not None and not first.items:
            raise first.failure
        self._seen = max(self._seen, head.position)
        self._followers += 1
        try:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            async with aclosing(self._told(wanted, head.log_id, position, first)) as told:
                yield told
        finally:
            self._followers -= 1

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _told(
        self, wanted: Wanted, log_id: str, position: int, first: Page | None
    ) -> AsyncGenerator[Told, None]:
        yield Told([], log_place(log_id, position))
        told_at = self._tick()
        while not self._stopping.is_set():
            found, first = first or await self._news(wanted, position), None
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

    async def _news(self, wanted: Wanted, position: int) -> Page:
        """What there is after a position; nothing after a while, if there is nothing."""
        if position < self._seen:
            with suppress(TryLater):
                return await self._read(wanted, position)
        if self._looking is not None and not self._looking.done():
            await self._looked.wait()
        return Page([], position, None)

    async def _read(self, wanted: Wanted, position: int) -> Page:
        """The next wanted events; one read for all who come for them while it is under way."""

        def read(rows: Rows) -> Page:
            last = read_head(rows).position
            return read_page(rows, self._vault, wanted, position, last, PAGE)

        return await self._reads.get((wanted, position), lambda: self._reading.read(read))

    async def _look(self) -> None:
        """While anybody follows, see how far the log goes; wake everybody for news, or a beat."""
        woken_at, woken_for = self._tick(), 0
        try:
            while self._followers and not self._stopping.is_set():
                try:
                    self._seen = max(self._seen, (await self._head()).position)
                except TryLater:
                    pass  # whoever asks the store next is told
                except Exception:
                    _logger.exception("head_not_read")
                if self._seen > woken_for or self._tick() - woken_at >= BEAT_EVERY:
                    woken_at, woken_for = self._tick(), self._seen
                    self._wake()
                await self._sleep(LOOK_EVERY)
        finally:
            self._wake()

    def _wake(self) -> None:
        self._looked.set()
        self._looked = asyncio.Event()
