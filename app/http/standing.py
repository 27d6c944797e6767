"""Whether whoever opened a stream may still have it: asked each second, for as long as it lasts.

Knows no stream, and no rule: what it asks does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from domain.errors import GatebookError, TryLater

ASK_EVERY: Final = 1.0
"""Seconds."""


class Standing:
    """Belongs to the event loop. `ask` raises why it may not; `stopping` ends everything."""

    def __init__(self, ask: Callable[[], Awaitable[object]], stopping: asyncio.Event) -> None:
        self._ask = ask
        self._stopping = stopping
        self._sure = asyncio.Event()
        self._sure.set()

    async def sure(self) -> None:
        """Wait while the store doesn't say whether it may."""
        await self._sure.wait()

    async def lost(self) -> None:
        """Wait until it may not any more."""
        while not await self._stopped():
            try:
                await self._ask()
            except TryLater:
                self._sure.clear()
            except GatebookError:
                return
            else:
                self._sure.set()

    async def _stopped(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(ASK_EVERY):
                await self._stopping.wait()
        return self._stopping.is_set()
