"""The clocks of a run: the store's, which jumps, and how far a process's and a device's are off.

Knows no process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

    from tests.simulation.virtual_time import VirtualLoop

EPOCH: Final = 1_800_000_000.0
"""What the clocks show at the beginning, in seconds."""
SKEW_S: Final = 25.0
"""A process's clock is at most so far from the store's: two of them are within the minute that
tokens are allowed."""
OFF_S: Final = (1.0, 60.0, 5_400.0, 172_800.0)
"""As far as people's clocks are off, at most: nobody is owed a right one."""


class Clocks:
    """The store's clock, which jumps; in seconds."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._offset = 0.0
        self.jumps: list[tuple[float, float]] = []
        """When a clock was moved, in the loop's time, and by how much the store's was."""

    def now(self) -> float:
        """The loop's time, which no clock shows."""
        return self._loop.time()

    def store(self) -> float:
        """What the store's shows."""
        return EPOCH + self._loop.time() + self._offset

    def jump(self, seconds: float) -> None:
        self._offset += seconds
        self.jumps.append((self._loop.time(), seconds))

    def moved(self, since: float) -> bool:
        """Whether any clock was moved then or later."""
        return bool(self.jumps) and self.jumps[-1][0] >= since

    def forward(self, since: float) -> float:
        """How much the store's was moved forward since then."""
        return sum(by for when, by in reversed(self.jumps) if when >= since and by > 0)


class OwnClock:
    """What a device shows, in seconds; it is as far off as it was when its owner set it."""

    def __init__(self, clocks: Clocks, rng: random.Random, *, skewed: bool) -> None:
        off = rng.choice(OFF_S) * rng.uniform(-1, 1)
        self._clocks = clocks
        self._off = off if skewed else 0.0

    def __call__(self) -> float:
        return EPOCH + self._clocks.now() + self._off
