"""Whether an erasure is finished, and finishing those that aren't.

With the commit that erases a person nobody can read who it was any more, and on PostgreSQL that is
all. On SQLite bytes of the person lie in the write-ahead log until it has been emptied, which an
open read puts off: the store keeps note of it, across restarts. Knows no rule and no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from app.deadline import left
from app.traces import FINISH, UNFINISHED
from projections.storage import Rows, Storage, StorageError
from projections.storage_sqlite import SqliteStorage

ANSWER_WITHIN: Final = 1.0
"""Seconds that somebody waits for an erasure to be finished, or what its commit has left."""
PAUSE: Final = 0.02
"""Seconds after the first try, since most reads last no longer; twice as long after each other."""

_logger = structlog.get_logger("gatebook.erasing")


def unfinished(storage: Storage) -> dict[str, int]:
    """Of whom bytes are left in a file, and since when (µs)."""
    with storage.snapshot() as rows:
        return left_over(rows)


def left_over(rows: Rows) -> dict[str, int]:
    """The same, in a snapshot that is given."""
    return {str(user_key): int(since or 0) for user_key, since in rows.fetch(UNFINISHED)}


def finish(storage: Storage) -> dict[str, int]:
    """Try to finish what isn't; what is left, as `unfinished` gives it. Raises `StorageError`."""
    waiting = unfinished(storage)
    if not waiting or not isinstance(storage, SqliteStorage) or not storage.checkpoint():
        return waiting
    with storage.transaction() as rows:
        rows.execute(FINISH, (max(waiting.values()),))
        rows.commit()
    return {}


class Erasing:
    """Finishes erasures of a running service, by a thread of its own; belongs to the event loop."""

    def __init__(
        self, storage: Storage, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._storage = storage
        self._sleep = sleep
        self._thread = ThreadPoolExecutor(1, "gatebook-erasing")
        self._left: Mapping[str, int] = {}

    async def is_finished(self, user_key: str) -> bool:
        """Whether no byte is left of somebody who was erased; tries for a moment to bring it about.

        When it isn't, `go_on` brings it about.
        """
        try:
            async with asyncio.timeout(left(ANSWER_WITHIN)):
                pause = PAUSE
                while user_key in await self._finish():
                    await self._sleep(pause)
                    pause *= 2  # each try takes the append lock, and many may be trying
        except TimeoutError:
            return False
        except StorageError as error:
            _logger.warning("erasure_not_finished", user_key=user_key, detail=str(error))
            return False
        return True

    async def go_on(self) -> None:
        """Try once to finish whatever isn't; said when that begins and when it is done."""
        try:
            left = await self._finish()
        except StorageError as error:
            _logger.warning("erasures_not_finished", detail=str(error))
            return
        if bool(left) != bool(self._left):
            _logger.info("erasures_go_on" if left else "erasures_finished", users=len(left))
        self._left = left

    def close(self) -> None:
        """Try no more: the store keeps note of what is left."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _finish(self) -> Mapping[str, int]:
        if self._storage.kind == "postgresql":
            return {}
        return await asyncio.get_running_loop().run_in_executor(self._thread, finish, self._storage)
