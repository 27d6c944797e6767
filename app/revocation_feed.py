"""What offline verifiers must stop believing, as they read it: pages, and a feed that goes on.

One look at the store serves everybody who follows, and one read everybody who asks for the same
page. Nothing is told that a fail-over could take back. Says nothing of whom or why; knows no HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Final, NamedTuple

import msgspec
import structlog

from app.broadcast import Broadcast, FarBehind
from app.confirmed import Confirmed, Seen
from app.deadline import WITHIN, left
from app.eventstore.log import Head, Replaced, read_head
from app.log_place import log_place, position_of
from app.paging import MAX_LIMIT
from app.reading import Reading
from app.sharing import Sharing
from app.timestamps import rfc3339
from domain.errors import GatebookError, LogChanged, TryLater, Unavailable
from projections.revocations import REVOKED_AFTER, RevokedRow
from projections.storage import Rows

LOOK_EVERY: Final = 0.2
"""Seconds between two looks at the store, while anybody follows."""
HEAD_EVERY: Final = 1.0
"""Seconds between two heads when nothing is revoked."""
MAX_BEHIND: Final = 60
"""Looks that a follower may not have heard of; one that is further behind has to resume."""
KEEP_PAGE: Final = 0.2
"""Seconds for which a page that was read is given again: HTTP may keep it for one."""
PAGES_KEPT: Final = 16

_logger = structlog.get_logger("gatebook.revocation_feed")


class Revocation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens of a session, or signed by a key, are refused: as long as one can be unexpired.

    One of `session_id` and `kid` is there.
    """

    position: int
    until: str
    session_id: str | None = None
    kid: str | None = None


class RevocationPage(msgspec.Struct, frozen=True):
    """A part of what is revoked; `head` is how far the log was looked through."""

    log_id: str
    head: int
    items: list[Revocation]
    next: str | None


class HeadSeen(msgspec.Struct, frozen=True):
    """Nothing up to `position` is left to tell, as of `time`."""

    log_id: str
    position: int
    time: str


class _Look(msgspec.Struct, frozen=True):
    """What one look at the store found."""

    items: list[Revocation]
    head: HeadSeen


class _Found(NamedTuple):
    """A page, and the log that it was read of."""

    seen: Seen
    page: RevocationPage


class _Run:
    """Looks at the store without a gap, from the first follower until nobody follows.

    `pages` were read since the newest look was told: whoever follows from there on misses nothing
    after such a page, whoever asked for it.
    """

    def __init__(self, head: Head) -> None:
        self.head = head
        """Where the newest look that was told found that the log ends."""
        self.looks: Broadcast[_Look] = Broadcast(MAX_BEHIND)
        self.pages: dict[str | None, _Found] = {}

    def tell(self, look: _Look) -> None:
        """Tell everybody who follows."""
        self.pages.clear()
        self.looks.tell(look)


def _page(rows: Rows, head: Head, after: int, limit: int, now: int) -> RevocationPage:
    found = [RevokedRow.of(row) for row in rows.fetch(REVOKED_AFTER, (after, now, limit + 1))]
    shown = found[:limit]
    more = len(found) > limit
    return RevocationPage(
        head.log_id,
        head.position,
        [_revocation(row) for row in shown],
        log_place(head.log_id, shown[-1].position) if more else None,
    )


def _revocation(row: RevokedRow) -> Revocation:
    return Revocation(row.position, rfc3339(row.until), row.session_id, row.kid)


class RevocationFeed:
    """Belongs to the event loop; ends when `stopping` is set. `clock` gives µs, `tick` seconds.

    `looking` is the feed's own, and `paging` for pages: however many ask for those, no look and no
    follower waits for them. Nothing is told before it is `confirmed`.
    """

    def __init__(
        self,
        looking: Reading,
        paging: Reading,
        confirmed: Confirmed,
        stopping: asyncio.Event,
        clock: Callable[[], int],
        *,
        tick: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._reading = looking
        self._paging = paging
        self._confirmed = confirmed
        self._stopping = stopping
        self._clock = clock
        self._tick = tick
        self._sleep = sleep
        self._pages: Sharing[tuple[str | None, int], RevocationPage]
        self._pages = Sharing(KEEP_PAGE, PAGES_KEPT, tick)
        self._followers = 0
        self._run: _Run
        self._looking: asyncio.Task[None] | None = None
        self._beginning: Sharing[None, None] = Sharing(0, 0, tick)
        self._turn = asyncio.Lock()

    @property
    def log_id(self) -> str:
        """Of the log that is told to whoever began to follow just now."""
        return self._run.head.log_id

    async def page(self, after: str | None, limit: int) -> RevocationPage:
        """A part of what is revoked after a place, as it was at most `KEEP_PAGE` seconds ago.

        Raises `InvalidRequest` and `LogChanged` for the place, and what reading raises;
        `Unavailable` also while it can't be confirmed.
        """
        try:
            return await self._pages.get((after, limit), lambda: self._page(after, limit))
        except LogChanged:
            # What somebody else began to read may be older than this place.
            return await self._page(after, limit)

    @asynccontextmanager
    async def following(
        self, after: str | None
    ) -> AsyncIterator[AsyncIterator[Revocation | HeadSeen]]:
        """Every revocation after a place, in order, and heads; ends with the service.

        A head comes every second, after every revocation up to it; none while nothing can be
        confirmed. Raises as `page` does, before anything is told. Whoever falls `MAX_BEHIND` looks
        behind is told no more, and resumes; so is everybody when the log is replaced, who then
        hears of that by the place.
        """
        self._followers += 1
        try:
            run = await self._joined()
            await self._check(after, run.head)
            async with aclosing(self._told(run, after)) as told:
                yield told
        finally:
            self._followers -= 1

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _check(self, after: str | None, head: Head) -> None:
        """Raises as `page` does; the head that is known may be older than the place."""
        if after is None:
            return
        try:
            position_of(after, head)
        except LogChanged:
            try:
                async with asyncio.timeout(left(WITHIN)), self._turn:
                    newest = await self._reading.read(read_head)
            except TimeoutError as error:
                raise Unavailable from error
            position_of(after, newest)

    async def _told(
        self, run: _Run, after: str | None
    ) -> AsyncGenerator[Revocation | HeadSeen, None]:
        try:
            found, number = await self._read(run, after)
            while True:
                for each in found.items:
                    yield each
                if found.next is None:
                    break
                found, number = await self._read(run, found.next)
            position = found.head
            while (look := await run.looks.after(number)) is not None:
                number += 1
                for each in look.items:
                    if each.position > position:
                        yield each
                position = max(position, look.head.position)
                yield look.head
        except (FarBehind, TryLater, LogChanged):
            return  # whoever resumes hears why

    async def _read(self, run: _Run, after: str | None) -> tuple[RevocationPage, int]:
        """A page for a follower, and how many looks had been told before it was read.

        Followers take turns to read, so that a look waits for one of them at most and a herd is not
        refused. While the store is away they wait for a look that finds it; raises `TryLater` when
        there will be none.
        """
        while True:
            told = run.looks.told
            try:
                async with self._turn:
                    told = run.looks.told
                    found = await self._read_once(run, after)
                return await self._sure(found), told
            except TryLater as error:
                away = error
            if await run.looks.after(told) is None:
                raise away

    async def _read_once(self, run: _Run, after: str | None) -> _Found:
        """For all who come with a place between two looks; in one's turn."""
        told = run.looks.told
        found = run.pages.get(after)
        if found is None:
            found = await self._found(self._reading, after, MAX_LIMIT)
            if run.looks.told == told and len(run.pages) < PAGES_KEPT:
                run.pages[after] = found
        return found

    async def _page(self, after: str | None, limit: int) -> RevocationPage:
        return await self._sure(await self._found(self._paging, after, limit))

    async def _found(self, reading: Reading, after: str | None, limit: int) -> _Found:
        now = self._clock()

        def read(rows: Rows) -> _Found:
            seen = self._confirmed.seen(rows)
            position = 0 if after is None else position_of(after, seen.head)
            return _Found(seen, _page(rows, seen.head, position, limit, now))

        return await reading.read(read)

    async def _sure(self, found: _Found) -> RevocationPage:
        """The page, once all is confirmed that it tells of."""
        seen, page = found
        if page.head > seen.sure:
            await self._confirmed.reached(seen.head)
        return page

    async def _joined(self) -> _Run:
        """The run whose next look finds everything after what a read from now on finds."""
        if self._looking is None or self._looking.done():
            await self._beginning.get(None, self._begin)
        return self._run

    async def _begin(self) -> None:
        self._run = _Run(await self._reading.read(read_head))
        self._looking = asyncio.create_task(self._look(self._run))

    async def _look(self, run: _Run) -> None:
        """While anybody follows, tell them what is new, and once a second that nothing is.

        When the service stops, the last thing that they hear is that there is no more; and when
        the log is not the one any more that they were told of.
        """
        told_at = -HEAD_EVERY
        try:
            while self._followers and not self._stopping.is_set():
                look = await self._news(run)
                if look is not None and (look.items or self._tick() - told_at >= HEAD_EVERY):
                    told_at = self._tick()
                    run.tell(look)
                await self._sleep(LOOK_EVERY)
        except Replaced as error:
            _logger.warning("revocations_of_another_log", detail=str(error))
        finally:
            run.looks.end()

    async def _news(self, run: _Run) -> _Look | None:
        """What there is after the head, which moves; None when the store doesn't say.

        Raises `Replaced` when the log isn't the one that was told.
        """
        now, known = self._clock(), run.head

        def read(rows: Rows) -> tuple[Head, list[Revocation]]:
            head = read_head(rows, known)
            items: list[Revocation] = []
            after: int | None = None if known == head else known.position
            while after is not None:
                found = _page(rows, head, after, MAX_LIMIT, now)
                items += found.items
                after = None if found.next is None else items[-1].position
            return head, items

        try:
            head, items = await self._reading.read(read)
            await self._confirmed.reached(head)
            run.head = head
        except Replaced:
            raise
        except GatebookError as error:
            _logger.warning("revocations_not_read", detail=error.detail)
        except Exception:
            _logger.exception("revocations_not_read")
        else:
            return _Look(items, HeadSeen(run.head.log_id, run.head.position, rfc3339(now)))
        return None
