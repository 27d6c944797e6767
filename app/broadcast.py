"""What is told to everybody who follows, one after another; whoever falls far behind is told so.

Only the last items are kept, so a follower that stands still holds nothing. Knows no item.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FarBehind(Exception):
    """What comes next for a follower is no longer there: it has to begin anew."""


class Broadcast(Generic[T]):
    """Items that are told in order, the last `most` of them kept. Belongs to the event loop."""

    def __init__(self, most: int) -> None:
        self._last: deque[T] = deque(maxlen=most)
        self._over = False
        self._more = asyncio.Event()
        self.told = 0
        """How many there have been: the number from which somebody who comes now follows."""

    def tell(self, item: T) -> None:
        """Tell everybody who follows."""
        self._last.append(item)
        self.told += 1
        self._wake()

    def end(self) -> None:
        """There will be no more."""
        self._over = True
        self._wake()

    async def after(self, number: int) -> T | None:
        """The item that was told after so many; None when there is no more.

        Waits for it. Raises `FarBehind`.
        """
        while number == self.told:
            if self._over:
                return None
            await self._more.wait()
        place = number - self.told + len(self._last)
        if place < 0:
            raise FarBehind
        return self._last[place]

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()
