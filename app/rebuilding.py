"""Rebuilds of views by a running service: begun when asked, gone on with when one broke off.

One thread does the work, another drops what is left over, and a third begins and cancels, for which
nobody waits longer than a request may; what they have done is in the store, so that whoever comes
later goes on.
Knows no HTTP, and nothing of how a view is filled.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import structlog

from app.deadline import in_time
from app.eventstore.feed import LogFeed
from app.eventstore.schema import RAISE_GENERATION
from app.identifiers import new_request_id
from domain.errors import GatebookError, Unavailable
from projections.leftovers import sweep
from projections.rebuild import Differs, Gone, Outcome, Rebuild, Stopped, Swapped
from projections.rebuild_state import State, cancel, read_state
from projections.registry import PROJECTIONS
from projections.storage import Rows, Storage, StorageError

LOOK_EVERY: Final = 10
"""Calls of `tend` between two looks for a rebuild that broke off."""

_logger = structlog.get_logger("gatebook.rebuilding")


def rebuild_of(
    storage: Storage,
    *,
    served: bool = False,
    told: Callable[[State, int], None] = lambda *_: None,
) -> Rebuild:
    """What rebuilds the views of a store, for a process of its own."""
    return Rebuild(
        storage, LogFeed(), PROJECTIONS, _swapped, new_request_id(), served=served, told=told
    )


class Rebuilding:
    """Belongs to the event loop; `storage` is its own to close, when `owned` says so."""

    def __init__(self, storage: Storage, *, owned: bool) -> None:
        self._storage = storage
        self._owned = owned
        self._stopping = threading.Event()
        self._thread = ThreadPoolExecutor(1, "gatebook-rebuild")
        self._sweeper = ThreadPoolExecutor(1, "gatebook-sweep")
        self._beginner = ThreadPoolExecutor(1, "gatebook-rebuild-begin")
        self._beginning: asyncio.Task[None] | None = None
        self._running: asyncio.Future[None] | None = None
        self._sweeping: Future[None] | None = None
        self._looks = 0

    async def start(self, name: str, *, accept: bool) -> None:
        """Begin to rebuild a view; raises `NotFound`, `RebuildRunning`, `Unavailable`."""
        await self._begin(lambda: self._begun(name, accept=accept))

    async def cancel(self, name: str) -> None:
        """Give up the rebuild of a view, whoever is at it; nothing when there is none."""
        await _waited(asyncio.create_task(self._cancelled(name)))

    async def tend(self) -> None:
        """Drop leftovers; go on with a rebuild that a service began, and whose lease is over."""
        self._looks += 1
        busy = [each for each in (self._beginning, self._running) if each and not each.done()]
        if self._looks % LOOK_EVERY == 1 and not busy:
            self._sweep()
            await self._begin(self._left_behind)

    async def close(self) -> None:
        """Stop after the steps that are under way; somebody goes on with them later."""
        self._stopping.set()
        # Whoever waited for a beginning may have been told to stop; its thread goes on.
        for work in (self._beginning, self._running):
            if work is not None:
                await asyncio.gather(work, return_exceptions=True)
        for thread in (self._thread, self._beginner):
            thread.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._sweeper.shutdown, cancel_futures=True)
        if self._owned:
            await asyncio.to_thread(self._storage.close)

    async def _begin(self, work: Callable[[], tuple[Rebuild, State] | None]) -> None:
        self._beginning = asyncio.create_task(self._started(work))
        await _waited(self._beginning)

    async def _started(self, work: Callable[[], tuple[Rebuild, State] | None]) -> None:
        """Not on the rebuild's thread, which may be at the end of the one before."""
        begun = await asyncio.get_running_loop().run_in_executor(self._beginner, work)
        if begun is not None:
            self._running = asyncio.wrap_future(self._thread.submit(self._run, *begun))

    async def _cancelled(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._beginner, cancel, self._storage, name)
        self._sweep()

    def _begun(self, name: str, *, accept: bool) -> tuple[Rebuild, State]:
        rebuild = rebuild_of(self._storage, served=True, told=self._told)
        return rebuild, rebuild.begin(name, accept=accept)

    def _left_behind(self) -> tuple[Rebuild, State] | None:
        with self._storage.snapshot() as rows:
            state = read_state(rows)
        if state is None or not state.served:
            return None
        try:
            return self._begun(state.name, accept=bool(state.accept))
        except GatebookError:  # somebody is at it
            return None

    def _run(self, rebuild: Rebuild, state: State) -> None:
        """On the rebuild's thread."""
        try:
            tell(rebuild.run(state))
        except _Stopping:
            rebuild.leave()
        except Gone as error:
            _logger.info("rebuild_over", projection=state.name, detail=str(error))
        except StorageError as error:
            _logger.warning("rebuild_interrupted", projection=state.name, detail=str(error))
        except Exception:
            _logger.exception("rebuild_interrupted", projection=state.name)
        self._sweep()

    def _sweep(self) -> None:
        """Let the thread for it drop what is left over; from any thread."""
        if self._sweeping is None or self._sweeping.done():
            with suppress(RuntimeError):  # it has stopped
                self._sweeping = self._sweeper.submit(self._swept)

    def _swept(self) -> None:
        """On the sweeping thread; a fault of the store is met again next time."""
        try:
            sweep(self._storage, PROJECTIONS, self._go_on)
        except _Stopping:
            pass
        except StorageError as error:
            _logger.warning("sweep_interrupted", detail=str(error))
        except Exception:
            _logger.exception("sweep_interrupted")

    def _told(self, state: State, head: int) -> None:
        del state, head
        self._go_on()

    def _go_on(self) -> None:
        """Between two steps; raises `_Stopping`."""
        if self._stopping.is_set():
            raise _Stopping


async def _waited(task: asyncio.Task[None]) -> None:
    """Wait for it as long as a request may; raises what it raises, and `Unavailable`."""
    try:
        await in_time(task)
    except StorageError as error:
        raise Unavailable from error


class _Stopping(Exception):
    """The service stops: what is under way is left as it is."""


def tell(outcome: Outcome) -> None:
    """Write what came of a rebuild to the service's log."""
    match outcome:
        case Swapped(name, digest, position, differed):
            _logger.info(
                "rebuilt", projection=name, digest=digest, position=position, rows=len(differed)
            )
        case Differs(name, position, rows):
            keys = list(map(str, rows))
            _logger.error("view_differs", projection=name, position=position, rows=keys)
        case Stopped(name, failure):
            _logger.error("rebuild_failed", projection=name, **failure._asdict())


def _swapped(rows: Rows) -> None:
    """Every process looks at its names again."""
    rows.execute(RAISE_GENERATION)
