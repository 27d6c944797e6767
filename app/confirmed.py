"""How far the log is where commits have to be: no further may whoever follows it be told.

A commit whose wait for a synchronous standby was ended can be seen, and a fail-over takes it back
and gives its position to another event (ADR 0024). What was confirmed is remembered, so that a log
in which nothing happens costs no commit. Knows no page and no feed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import structlog

from app.deadline import in_time
from app.eventstore.log import Head, Replaced, confirm, read_head
from app.sharing import Rounds
from domain.errors import Unavailable
from projections.storage import Rows, Storage, StorageError

ANSWER_WITHIN: Final = 1.8
"""Seconds after which nobody waits for a confirmation any more; it goes on."""

_logger = structlog.get_logger("gatebook.confirmed")


class Seen(NamedTuple):
    """Where a reader saw the log end, and up to which position it was confirmed already then."""

    head: Head
    sure: int


class Confirmed:
    """Belongs to the event loop, but for `seen`. `storage` is its own to close, if it is `owned`.

    On PostgreSQL it needs one of its own: a commit may wait for the standby as long as the lock's
    deadline, which the writer must not wait for besides its own.
    """

    def __init__(self, storage: Storage, *, owned: bool) -> None:
        self._storage = storage
        self._owned = owned
        self._thread = ThreadPoolExecutor(1, "gatebook-confirming")
        self._newest: Head | None = None
        self._wanted: set[Head] = set()
        self._rounds = Rounds(self._round)

    def seen(self, rows: Rows) -> Seen:
        """Where the log ends as these rows see it; for any thread.

        When it isn't the log of which something was confirmed, that is forgotten.
        """
        newest = self._newest
        try:
            return Seen(read_head(rows, newest), newest.position if newest else 0)
        except Replaced:
            self._newest = None
            return Seen(read_head(rows), 0)

    async def reached(self, head: Head, within: float = ANSWER_WITHIN) -> None:
        """Wait until the log is confirmed up to a head that was read; raises `Unavailable`.

        So it does when that head is gone. Those who wait at once share a commit that begins after
        all of them have read.
        """
        if head == self._newest:
            return
        self._wanted.add(head)
        try:
            await in_time(self._rounds.next(), min(within, ANSWER_WITHIN))
        except (StorageError, Replaced) as error:
            raise Unavailable from error

    async def close(self) -> None:
        """Confirm no more, once what is under way has ended."""
        if self._owned:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self._storage.close)
        self._thread.shutdown(wait=False)

    async def _round(self) -> None:
        """Confirm all that is wanted by then."""
        heads, self._wanted = self._wanted - {self._newest}, set()
        if not heads:
            return  # the one before was for the same
        try:
            await self._confirm(heads)
        except (StorageError, Replaced) as error:
            _logger.warning("log_not_confirmed", detail=str(error))
            raise
        self._newest = max(heads, key=lambda head: head.position)

    async def _confirm(self, heads: Iterable[Head]) -> None:
        if self._storage.kind == "sqlite":
            return  # one disk has all that can be read
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, confirm, self._storage, heads)
