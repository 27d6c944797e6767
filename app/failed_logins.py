"""Counts of wrong secrets by user and minute, written in the background.

In memory until a minute is over: the last minute's may be lost. Knows no HTTP, and nothing of
users that don't exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from app.caller import system
from app.dispatcher import Dispatcher
from domain.commands import RecordFailedLogins
from domain.errors import GatebookError

MINUTE: Final = 60_000_000
MAX_USERS: Final = 10_000
"""Users counted in one minute; what is beyond goes unrecorded, and budgets still hold."""


class FailedLogins:
    """Belongs to the event loop; `clock` gives µs."""

    def __init__(self, dispatcher: Dispatcher, clock: Callable[[], int]) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._counts: dict[str, tuple[int, int, int]] = {}

    def count(self, user_key: str) -> None:
        """One more wrong secret for a user."""
        now = self._clock()
        count, first_at, _ = self._counts.get(user_key, (0, now, now))
        if count or len(self._counts) < MAX_USERS:
            self._counts[user_key] = (count + 1, first_at, now)

    async def write(self, *, all_of_them: bool = False) -> None:
        """Record the counts of minutes that are over; or all, when the process ends."""
        minute = self._clock() // MINUTE
        for user_key, (count, first_at, last_at) in list(self._counts.items()):
            if not all_of_them and first_at // MINUTE >= minute:
                continue
            del self._counts[user_key]
            command = RecordFailedLogins(user_key, count, first_at, last_at)
            try:
                await self._dispatcher.dispatch(command, system())
            except GatebookError:
                self._counts.setdefault(user_key, (count, first_at, last_at))
                return
