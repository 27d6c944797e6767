"""What offline verifiers must stop believing, as they read it: pages, and a feed that goes on.

One look at the store serves everybody who follows. Says nothing of whom or why; knows no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec
import structlog

from app.eventstore.log import Head, read_head
from app.log_place import log_place, position_of
from app.paging import MAX_LIMIT
from app.reading import Reading
from app.timestamps import rfc3339
from domain.errors import GatebookError
from projections.revocations import REVOKED_AFTER, RevokedRow
from projections.storage import Rows

LOOK_EVERY: Final = 0.2
"""Seconds between two looks at the store, while anybody follows."""
HEAD_EVERY: Final = 1.0
"""Seconds between two heads when nothing is revoked."""

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


class _Look(msgspec.Struct):
    """What one look at the store found, and the one after it."""

    items: list[Revocation]
    head: HeadSeen
    following: asyncio.Future[_Look | None]


def page(rows: Rows, after: str | None, limit: int, now: int) -> RevocationPage:
    """A part of what is revoked after a place; `now` in µs.

    Raises `InvalidRequest` and `LogChanged` for the place.
    """
    head = read_head(rows)
    return _page(rows, head, 0 if after is None else position_of(after, head), limit, now)


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
    """Belongs to the event loop. `clock` gives µs; the feed ends when `stopping` is set."""

    def __init__(self, reading: Reading, stopping: asyncio.Event, clock: Callable[[], int]) -> None:
        self._reading = reading
        self._stopping = stopping
        self._clock = clock
        self._followers = 0
        self._looking: asyncio.Task[None] | None = None
        self._following: asyncio.Future[_Look | None] = asyncio.get_running_loop().create_future()
        self._joining = asyncio.Lock()

    async def page(self, after: str | None, limit: int) -> RevocationPage:
        """As `page`; raises what reading raises."""
        now = self._clock()
        return await self._reading.read(lambda rows: page(rows, after, limit, now))

    async def follow(self, after: str | None) -> AsyncIterator[Revocation | HeadSeen]:
        """Every revocation after a place, in order, and heads; ends with the service.

        A head comes every second, after every revocation up to it. Raises as `page` does.
        """
        self._followers += 1
        try:
            following = await self._joined()
            found = await self.page(after, MAX_LIMIT)
            while True:
                for each in found.items:
                    yield each
                if found.next is None:
                    break
                found = await self.page(found.next, MAX_LIMIT)
            told = found.head
            # Whoever leaves cancels its own wait, not what the others wait for.
            while (look := await asyncio.shield(following)) is not None:
                following = look.following
                for each in look.items:
                    if each.position > told:
                        yield each
                told = max(told, look.head.position)
                yield look.head
        finally:
            self._followers -= 1

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _joined(self) -> asyncio.Future[_Look | None]:
        """What the next look will find: everything after what a read from now on finds."""
        async with self._joining:
            if self._looking is None or self._looking.done():
                reached = (await self._reading.read(read_head)).position
                self._following = asyncio.get_running_loop().create_future()
                self._looking = asyncio.create_task(self._look(reached))
            return self._following

    async def _look(self, reached: int) -> None:
        """While anybody follows, tell them what is new, and once a second that nothing is.

        When the service stops, the last thing that they hear is that there is no more.
        """
        loop = asyncio.get_running_loop()
        told_at = 0.0
        while self._followers and not self._stopping.is_set():
            try:
                items, head = await self._news(reached)
            except GatebookError as error:
                _logger.warning("revocations_not_read", detail=error.detail)
            except Exception:
                _logger.exception("revocations_not_read")
            else:
                reached = head.position
                if items or loop.time() - told_at >= HEAD_EVERY:
                    told_at = loop.time()
                    self._tell(items, head)
            await asyncio.sleep(LOOK_EVERY)
        if self._stopping.is_set():
            self._following.set_result(None)

    async def _news(self, reached: int) -> tuple[list[Revocation], HeadSeen]:
        now = self._clock()

        def read(rows: Rows) -> tuple[list[Revocation], HeadSeen]:
            head = read_head(rows)
            seen = HeadSeen(head.log_id, head.position, rfc3339(now))
            if reached == head.position:
                return [], seen
            items: list[Revocation] = []
            found = _page(rows, head, reached, MAX_LIMIT, now)
            items += found.items
            while found.next is not None:
                found = _page(rows, head, items[-1].position, MAX_LIMIT, now)
                items += found.items
            return items, seen

        return await self._reading.read(read)

    def _tell(self, items: list[Revocation], head: HeadSeen) -> None:
        told, self._following = self._following, asyncio.get_running_loop().create_future()
        told.set_result(_Look(items, head, self._following))
