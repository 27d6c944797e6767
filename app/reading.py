"""Reads that take longer than an event loop may stand still: lists and histories.

Each is one moment of the store, looked at by one thread that does nothing else. Knows no table
and no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from app.deadline import left
from app.store import live_snapshot
from domain.errors import Overloaded, Unavailable
from projections.storage import Lost, NoTable, Rows, Storage

T = TypeVar("T")

ANSWER_WITHIN: Final = 1.8
"""Seconds after which a read is given up."""
MAX_WAITING: Final = 64


class Reading:
    """Belongs to the event loop. `storage` is its own to close, when `owned` says so.

    On PostgreSQL it needs one of its own: a storage reads through one connection, which the
    writer must never wait for.
    """

    def __init__(self, storage: Storage, *, owned: bool) -> None:
        self._storage = storage
        self._owned = owned
        self._thread = ThreadPoolExecutor(1, "gatebook-reading")
        self._waiting = 0

    async def read(self, work: Callable[[Rows], T]) -> T:
        """What `work` makes of the store as it is now.

        Raises what `work` raises, `Overloaded` when too many wait, and `Unavailable` when the
        store is away or the answer takes too long.
        """
        if self._waiting >= MAX_WAITING:
            raise Overloaded
        self._waiting += 1
        job = self._thread.submit(self._read, work)
        future = asyncio.wrap_future(job)
        future.add_done_callback(self._done)
        try:
            async with asyncio.timeout(left(ANSWER_WITHIN)):
                return await future
        except (Lost, TimeoutError) as error:
            raise Unavailable from error

    def close(self) -> None:
        """Read no more; a read that takes long ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._owned:
            self._storage.close()

    def _read(self, work: Callable[[Rows], T]) -> T:
        try:
            with live_snapshot(self._storage) as rows:
                return work(rows)
        except NoTable:  # a view was swapped in the midst of it
            with live_snapshot(self._storage) as rows:
                return work(rows)

    def _done(self, future: asyncio.Future[T]) -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()  # whoever asked may have given up
