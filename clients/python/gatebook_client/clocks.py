"""The service's clock as a client knows it: learned from answers, never taken to be its own.

Written by the one thread that renews tokens. Times are seconds; the service's are since the epoch,
the program's are its monotonic clock's, which nobody sets.
"""

from __future__ import annotations

import time
from typing import Final

TICK: Final = 1.0
"""What the service tells of its time is cut to whole seconds."""


class ServiceClock:
    """How far the service's clock is ahead of the program's monotonic one, at most.

    An answer that says T was written between T and T + 1, after its request was sent and before
    it was received. So each narrows what the difference may be; one that doesn't fit the others
    says that the service's clock was set.
    """

    def __init__(self) -> None:
        self._ahead: float | None = None

    def told(self, told: float, sent: float, received: float) -> None:
        """A token says that it was made at `told`, which was between the two."""
        least, most = told - received, told + TICK - sent
        if self._ahead is None or most < self._ahead or least > self._ahead:
            self._ahead = most

    def dated(self, date: float, sent: float) -> None:
        """The header `Date` of an answer, which servers and caches write up to a second late."""
        if self._ahead is None:
            self._ahead = date + 2 * TICK - sent

    @property
    def known(self) -> bool:
        """Whether the service has said what time it is."""
        return self._ahead is not None

    def now(self) -> float:
        """The latest that it can be at the service; the program's own time where none was said."""
        if self._ahead is None:
            return time.time()
        return time.monotonic() + self._ahead
