"""An event loop in which time passes at once, and never while anything is left to do.

What would be done by a thread is done where it is asked for, so that one run is as the next.
Knows no service.
"""

from __future__ import annotations

import asyncio
import selectors
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class Standstill(Exception):
    """Everybody waits, and nothing is going to happen."""


class _Skipping(selectors.SelectSelector):
    """Hears of no file; waiting for one moves the time on."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Standstill
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time, in seconds, begins at 0 and is moved on when everybody waits."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now

    def pass_by(self, seconds: float) -> None:
        """Let time pass in the midst of something, as for whoever sleeps without awaiting."""
        self._skipping.now += seconds

    def call_soon_threadsafe(self, callback, *args, context=None):  # type: ignore[override]
        # There is one thread.
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor, func, *args):  # type: ignore[override]
        return asyncio.wrap_future(AtOnce().submit(func, *args), loop=self)


class AtOnce(Executor):
    """Does the work when it is given."""

    def submit(self, fn, /, *args, **kwargs):
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            future.set_exception(error)
        return future


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """What `main` gives, on a loop of its own; whatever still waits then is cancelled."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main(loop))
    finally:
        waiting = asyncio.all_tasks(loop)
        for task in waiting:
            task.cancel()
        for task in waiting:
            with suppress(asyncio.CancelledError, Exception):
                loop.run_until_complete(task)
        loop.close()
