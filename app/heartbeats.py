"""Signs of life for whoever watches: where the log ends, told each second.

One look at the head serves all who watch. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Final

from app.eventstore.log import Head
from app.sharing import Sharing
from domain.errors import TryLater

BEAT_EVERY: Final = 1.0
"""Seconds between two of them."""
_KEEP: Final = 0.5
"""Seconds for which a look is good enough for the next who watches."""
_ALL: Final = "head"


class Heartbeats:
    """Belongs to the event loop; ends when `stopping` is set."""

    def __init__(self, head: Callable[[], Awaitable[Head]], stopping: asyncio.Event) -> None:
        self._head = head
        self._stopping = stopping
        self._looks: Sharing[str, Head] = Sharing(_KEEP, 1, time.monotonic)

    async def beats(self) -> AsyncGenerator[Head | None, None]:
        """The head, again and again; None while the store doesn't say."""
        while not self._stopping.is_set():
            try:
                yield await self._looks.get(_ALL, self._look)
            except TryLater:
                yield None
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_EVERY):
                    await self._stopping.wait()

    async def _look(self) -> Head:
        return await self._head()
