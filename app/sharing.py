"""Work that is done once for all who want the same while it is under way, or a little later.

Knows no work.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from app.deadline import in_time

K = TypeVar("K")
T = TypeVar("T")


class Sharing(Generic[K, T]):
    """Belongs to the event loop. A result is given again for `keep` seconds, which `tick` counts.

    At most `most` results are kept; a failure is told to those who waited for it, and to no other.
    """

    def __init__(self, keep: float, most: int, tick: Callable[[], float]) -> None:
        self._keep = keep
        self._most = most
        self._tick = tick
        self._tasks: dict[K, asyncio.Task[T]] = {}
        self._kept: deque[tuple[float, K]] = deque()

    async def get(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work` gives, which is the same for everybody who comes with this key.

        Raises what it raises, and `Unavailable` to whoever can't wait for it any longer. It goes on
        when whoever began it goes away.
        """
        self._forget()
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._done(key, done))
        return await in_time(task)

    def _done(self, key: K, task: asyncio.Task[T]) -> None:
        if task.cancelled() or task.exception() is not None:  # whoever waited may have gone away
            del self._tasks[key]
        else:
            self._kept.append((self._tick() + self._keep, key))
            self._forget()

    def _forget(self) -> None:
        now = self._tick()
        while self._kept and (self._kept[0][0] <= now or len(self._kept) > self._most):
            del self._tasks[self._kept.popleft()[1]]


class Rounds:
    """Belongs to the event loop. Work that is done one round at a time, each for many.

    Whoever needs it done from now on shares the round that hasn't begun.
    """

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None

    def next(self) -> asyncio.Task[None]:
        """The round that begins next; it goes on when nobody waits for it."""
        if self._next is None:
            self._next = asyncio.create_task(self._begun())
        return self._next

    async def _begun(self) -> None:
        async with self._turn:
            self._next = None
            await self._work()
