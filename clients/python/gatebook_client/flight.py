"""Work that many ask for at once and that is done once, for threads and any event loops.

It runs in a thread of its own: whoever gives up waiting, or whose loop ends, takes nothing from
the others. Knows nothing of the work.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Final, Generic, TypeVar

import anyio.to_thread

from gatebook_client.forks import ends, renewed

T = TypeVar("T")

_AT_EXIT_SECONDS: Final = 10.0
_MULTIPROCESSING: Final = "multiprocessing.util"

_awaited: set[threading.Thread] = set()
"""Those that the program's end waits for."""
_finalized: int | None = None
"""The process that was told so in the way of `multiprocessing`, whose children don't run atexit."""


class SingleFlight(Generic[T]):
    """At most one run of `work` at a time.

    A program that ends waits for it, if it is `awaited`.
    """

    def __init__(self, name: str, work: Callable[[], T], *, awaited: bool = False) -> None:
        self._name = name
        self._work = work
        self._awaited = awaited
        self._lock = threading.Lock()
        self._flying: Future[T] | None = None
        renewed(self)

    def join(self, needless: Callable[[], T | None] | None = None) -> Future[T]:
        """The run that is on, or a new one.

        Unless `needless` gives what a run would: one may have ended since the caller looked.
        """
        with self._lock:
            if self._flying is None:
                already = None if needless is None else needless()
                if already is not None:
                    landed_before = Future[T]()
                    landed_before.set_result(already)
                    return landed_before
                self._flying = future = Future[T]()
                # Nobody who waits can cancel it, as an event loop would that gives up.
                future.set_running_or_notify_cancel()
                thread = threading.Thread(
                    target=self._fly, args=(future,), name=f"gatebook {self._name}", daemon=True
                )
                if self._awaited:
                    _await(thread)
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads, for now: the next one may be
                    _awaited.discard(thread)
                    self._flying = None
                    future.set_exception(error)
                return future
            return self._flying

    def settle(self, seconds: float) -> None:
        """Wait for the run that is on, if one is, for so long."""
        flying = self._flying
        if flying is not None:
            wait([flying], seconds)

    def forked(self) -> None:
        """In a forked process: the thread of the run is the other one's."""
        self._lock = threading.Lock()
        self._flying = None
        _awaited.clear()

    def _fly(self, future: Future[T]) -> None:
        error: BaseException | None = None
        try:
            found = self._work()
        except BaseException as raised:  # noqa: BLE001 - who waits gets it
            error = raised
        with self._lock:
            self._flying = None
        # What was found out is in place by now: who comes from here on needn't wait for it.
        if error is None:
            future.set_result(found)
        else:
            future.set_exception(error)
        _awaited.discard(threading.current_thread())
        ends()


async def landed(future: Future[T]) -> T:
    """What a run gives, for a task of any event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # another kind of loop than asyncio's
        return await anyio.to_thread.run_sync(future.result, abandon_on_cancel=True)
    return await asyncio.wrap_future(future)


def _await(thread: threading.Thread) -> None:
    """Let what was begun end with the program, so that no answer with a new token is lost."""
    global _finalized  # noqa: PLW0603 - the process it is
    _awaited.add(thread)
    processes, own = sys.modules.get(_MULTIPROCESSING), os.getpid()
    if processes is not None and _finalized != own:
        processes.Finalize(None, _finish, exitpriority=0)
        _finalized = own


def _finish() -> None:
    until = time.monotonic() + _AT_EXIT_SECONDS
    for thread in list(_awaited):
        thread.join(max(0.0, until - time.monotonic()))


atexit.register(_finish)
