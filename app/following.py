"""The following views of a running service, brought to the head soon after events are written.

Whoever looks for news calls; a thread does the work. Any number of processes may follow: each
batch is written by one of them. Knows no view.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import structlog

from app.eventstore.feed import LogFeed
from domain.errors import Unavailable
from projections.registry import PROJECTIONS
from projections.runner import Failure, Follower
from projections.storage import Storage, StorageError

_logger = structlog.get_logger("gatebook.following")


class Following:
    """Belongs to the event loop; `storage` is its own to close, when `owned` says so."""

    def __init__(self, storage: Storage, *, owned: bool) -> None:
        self._storage = storage
        self._owned = owned
        self._follower = Follower(storage, LogFeed(), PROJECTIONS)
        self._thread = ThreadPoolExecutor(1, "gatebook-following")
        self._running: asyncio.Future[None] | None = None
        self._reached = -1
        self._stopped: dict[str, Failure] = {}

    def news(self, head: int) -> None:
        """The log ends there: follow, unless that is known or under way."""
        if head != self._reached and (self._running is None or self._running.done()):
            self._running = asyncio.wrap_future(self._thread.submit(self._follow, head))

    async def retry(self) -> list[str]:
        """Let views that stopped try again; their names. Raises `Unavailable`."""
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._follower.retry)
        try:
            tried = await work
        except StorageError as error:
            raise Unavailable from error
        self._reached = -1
        return tried

    async def close(self) -> None:
        """Stop after the events that are being applied."""
        self._follower.stop()
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._owned:
            await asyncio.to_thread(self._storage.close)

    def _follow(self, head: int) -> None:
        """On the thread; a fault of the store is met again next time."""
        try:
            stopped = self._follower.catch_up()
        except StorageError as error:
            _logger.warning("following_interrupted", detail=str(error))
            return
        except Exception:
            _logger.exception("following_interrupted")
            return
        self._reached = head
        for name, failure in stopped.items():
            if self._stopped.get(name) != failure:
                _logger.error("view_stalled", projection=name, **failure._asdict())
        self._stopped = stopped
