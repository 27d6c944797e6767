"""A connection to PostgreSQL on which no wait lasts for ever: whoever is silent is taken for gone.

A server that is frozen, or a single process of it, keeps no time limit of its own, and its kernel
still answers keepalives. Knows no table.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import Any, ClassVar, Final, TypeVar

import psycopg
from psycopg.abc import PQGen

from projections.storage import LOCK_DEADLINE

T = TypeVar("T")

SILENT_FOR: Final = LOCK_DEADLINE + 1.0
"""Seconds without a byte: more than the server gives a statement, or a wait for the append lock."""
PATIENCE: Final = 3_600.0
"""The same where the server has no limit for a statement."""
LOOK_ROUND: Final = 0.1
"""Seconds between two looks whether something came."""
CANCEL_WITHIN: Final = 1.0
ENDING_WITHIN: Final = 3.0
"""Seconds for which a process that was told to stop waits for who is silent."""


class Ending:
    """Whether those who share it are about to stop; for any thread."""

    def __init__(self) -> None:
        self._at = math.inf

    def begin(self) -> None:
        """From now on nobody waits for longer than `ENDING_WITHIN`."""
        self._at = min(self._at, time.monotonic() + ENDING_WITHIN)

    @property
    def is_over(self) -> bool:
        """Whether nobody waits any more."""
        return time.monotonic() > self._at


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """Belongs to one thread at a time. A wait in vain closes it; `psycopg.OperationalError`."""

    silences: ClassVar[int] = 0
    """How many connections of this process were waited for in vain."""
    silent_for: float | None = None
    """Seconds, where it isn't `SILENT_FOR`."""
    ending: Ending | None = None
    cancels = False
    """Whether the server is asked to give up what was waited for in vain."""

    def __init__(self, *args: Any) -> None:  # noqa: ANN401 - the driver's own
        super().__init__(*args)
        self._silences = Connection.silences

    @property
    def is_doubtful(self) -> bool:
        """Whether another one has been silent since: this one's server may be the same."""
        return self._silences != Connection.silences

    def wait(self, gen: PQGen[T], interval: float = LOOK_ROUND, timeout: float | None = None) -> T:
        """Whatever the driver waits for, once it is connected, comes through here."""
        del timeout  # nobody waits for notifications
        return super().wait(self._heard(gen), interval)

    def _heard(self, gen: PQGen[T]) -> PQGen[T]:
        """The same, until nothing has come for too long."""
        looks = 0
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    looks = 0
                else:
                    looks += 1
                    self._look(looks)
                wanted = gen.send(ready)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    def _look(self, looks: int) -> None:
        waited, within = looks * LOOK_ROUND, self.silent_for or SILENT_FOR
        if waited < within and not (self.ending and self.ending.is_over):
            return
        Connection.silences += 1
        if self.cancels:
            with suppress(psycopg.Error):
                self.cancel_safe(timeout=CANCEL_WITHIN)
        self.close()
        msg = f"PostgreSQL said nothing for {waited:.1f} s"
        raise psycopg.OperationalError(msg)
