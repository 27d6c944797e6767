"""Counts of wrong secrets by user and minute, written in the background.

In memory until a minute is over: the last minute's may be lost. Knows no HTTP, and nothing of
users that don't exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from app.caller import system
from app.dispatcher import MAX_BATCH, Dispatcher
from domain.commands import RecordFailedLogins
from domain.errors import TryLater

MINUTE: Final = 60_000_000
MAX_COUNTS: Final = 10_000
"""Counts kept at a time; what is beyond goes unrecorded, and budgets still hold."""
_NOBODY: Final = "nobody"
WRITE_WITHIN: Final = 1.8
"""Seconds for which whoever wants it done is held up."""
CLOSE_WITHIN: Final = 2.0
"""Seconds for what is left when the process ends: it may have drained for long already."""

_logger = structlog.get_logger("gatebook.failed_logins")


class _Key(NamedTuple):
    user_key: str
    minute: int


class _Count(NamedTuple):
    times: int
    first_at: int
    last_at: int


class FailedLogins:
    """Belongs to the event loop; `clock` gives µs."""

    def __init__(self, dispatcher: Dispatcher, clock: Callable[[], int]) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._counts: dict[_Key, _Count] = {}
        self._round: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many counts wait to be recorded."""
        return len(self._counts)

    def count(self, user_key: str | None) -> None:
        """One more wrong secret for a user; None for what isn't counted, which takes as long."""
        now = self._clock()
        counts = {} if user_key is None else self._counts
        key = _Key(user_key or _NOBODY, now // MINUTE)
        if key in counts or len(counts) < MAX_COUNTS:
            _keep(counts, key, _Count(1, now, now))

    async def write(self) -> None:
        """Record the counts of minutes that are over, or go on doing it; waits for it a moment.

        Nothing stops what was begun: it would be stored, and counted again.
        """
        if self._round is None or self._round.done():
            minute = self._clock() // MINUTE
            over = [key for key in self._counts if key.minute < minute]
            self._round = asyncio.create_task(self._record(over))
        await asyncio.wait({self._round}, timeout=WRITE_WITHIN)

    async def close(self) -> None:
        """Record whatever is left, as far as the store takes it now."""
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                if self._round is not None:
                    await self._round
                await self._record(list(self._counts))
        except TimeoutError:
            pass
        if self._counts:
            lost = sum(each.times for each in self._counts.values())
            _logger.warning("failed_logins_not_recorded", count=lost, users=len(self._counts))

    async def _record(self, keys: list[_Key]) -> None:
        """As many at a time as are stored at once, until the store doesn't take them."""
        for start in range(0, len(keys), MAX_BATCH):
            chunk = keys[start : start + MAX_BATCH]
            if not all(await asyncio.gather(*map(self._record_one, chunk))):
                return

    async def _record_one(self, key: _Key) -> bool:
        """Whether it is done with: stored, or never to be."""
        counted = self._counts.pop(key)
        command = RecordFailedLogins(key.user_key, *counted)
        done = False
        try:
            await self._dispatcher.dispatch(command, system(), patient=True)
            done = True
        except Exception as error:
            if isinstance(error, TryLater) and not getattr(error, "unsure", False):
                return False
            # One user's damage is no reason to forget the others', or to try it for ever; and what
            # may be in the log mustn't be there twice.
            _logger.exception(
                "failed_logins_not_recorded",
                user_key=key.user_key,
                count=counted.times,
                detail=str(error),
            )
            done = True
        finally:
            if not done:
                _keep(self._counts, key, counted)
        return done


def _keep(counts: dict[_Key, _Count], key: _Key, more: _Count) -> None:
    known = counts.get(key, more._replace(times=0))
    counts[key] = _Count(
        known.times + more.times,
        min(known.first_at, more.first_at),
        max(known.last_at, more.last_at),
    )
