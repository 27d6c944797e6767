"""Work that many ask for at once and that is done once, for threads and any event loops.

It runs in a thread of its own: whoever gives up waiting, or whose loop ends, takes nothing from
the others. Knows nothing of the work.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Final, Generic, TypeVar

import anyio.to_thread

from gatebook_client.forks import ends, renewed

T = TypeVar("T")

_AT_EXIT_SECONDS: Final = 10.0

_threads: set[threading.Thread] = set()


class SingleFlight(Generic[T]):
    """At most one run of `work` at a time."""

    def __init__(self, name: str, work: Callable[[], T]) -> None:
        self._name = name
        self._work = work
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
                _threads.add(thread)
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads, for now: the next one may be
                    _threads.discard(thread)
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
        _threads.clear()

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
        _threads.discard(threading.current_thread())
        ends()


async def landed(future: Future[T]) -> T:
    """What a run gives, for a task of any event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # another kind of loop than asyncio's
        return await anyio.to_thread.run_sync(future.result, abandon_on_cancel=True)
    return await asyncio.wrap_future(future)


def _finish() -> None:
    """Let what was begun end with the program, so that no answer with a new token is lost."""
    for thread in list(_threads):
        thread.join(_AT_EXIT_SECONDS)


atexit.register(_finish)
