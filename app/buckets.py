"""Token buckets with places: what may be spent, and what is left of it.

Knows neither addresses nor secrets, which `app.throttle` does, and not where buckets are kept or
who waits for them: `app.buckets_memory`, `app.buckets_postgres`. The arithmetic is our own, since
`limits` counts hits in windows and has no place that is held and given back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple, Protocol, TypeVar

from domain.errors import TooManyAttempts

PATIENCE: Final = 1.8
"""Seconds that somebody waits for a place, or for a keeper's answer: refused within two."""

End = Literal["spent", "back", "new"]
"""What became of a place: it stays taken, it is free again, or the bucket is as new."""

_ROUNDING: Final = 1e-6
"""What seconds since the epoch, as floating-point numbers, leave uncertain."""


class Limit(NamedTuple):
    """A kind of bucket: `capacity` at once, and `per_second` more as time goes by."""

    name: str
    capacity: int
    per_second: float


class Claim(NamedTuple):
    """One bucket that an attempt draws on."""

    limit: Limit
    key: str


class Hold:
    """A place in each claimed bucket. Only the first call counts; none blocks."""

    __slots__ = ("_settle",)

    def __init__(self, settle: Callable[[End], None]) -> None:
        self._settle: Callable[[End], None] | None = settle

    def spend(self) -> None:
        """The place stays taken until time refills it."""
        self._end("spent")

    def give_back(self) -> None:
        """The place is free again."""
        self._end("back")

    def reset(self) -> None:
        """The place is free again, and so is every other that isn't in flight."""
        self._end("new")

    def _end(self, end: End) -> None:
        settle, self._settle = self._settle, None
        if settle is not None:
            settle(end)


Expect = Callable[[int], None]
"""Raises `Overloaded` when whoever comes after so many others would be answered too late."""


def nobody_hurries(ahead: int) -> None:
    """Expects every answer in time, however many there are `ahead`."""


class Keeper(Protocol):
    """Whatever holds the buckets; belongs to one event loop."""

    async def reserve(self, claims: Sequence[Claim]) -> Hold:
        """A place in all of them or in none.

        Where a bucket is empty but places in it are in flight, waits for one to come back.
        Raises `TooManyAttempts` when none is in flight; `Overloaded` at once when too many wait
        at it for an answer in time, and later when it was not in time all the same;
        `Unavailable` when the buckets are out of reach.
        """

    async def close(self) -> None:
        """Keep what was said of holds; none is to be had afterwards."""


class Bucket:
    """What is left of one limit for one key; seconds of a clock that never goes back."""

    __slots__ = ("at", "in_flight", "level", "limit")

    def __init__(self, limit: Limit, level: float, at: float, in_flight: int = 0) -> None:
        self.limit = limit
        self.level = level
        """As of `at`; places in flight are taken off."""
        self.at = at
        self.in_flight = in_flight

    def refill(self, now: float) -> None:
        """What time has brought back."""
        self._raise(max(0.0, now - self.at) * self.limit.per_second)
        self.at = max(now, self.at)

    def take(self) -> None:
        """Put a place in flight."""
        self.level -= 1
        self.in_flight += 1

    def settle(self, end: End) -> None:
        """A place is no longer in flight."""
        self.in_flight = max(0, self.in_flight - 1)
        if end != "spent":
            self._raise(1)
        if end == "new":
            self.level = max(self.level, self.limit.capacity - self.in_flight)

    def settle_all(self) -> None:
        """Every place comes back: nobody is there any more to say what became of it."""
        self._raise(self.in_flight)
        self.in_flight = 0

    def has_place(self) -> bool:
        """Whether one can be taken now."""
        return self.level >= 1 - _ROUNDING

    def is_as_new(self) -> bool:
        """Whether forgetting it changes nothing."""
        return not self.in_flight and self.level >= self.limit.capacity

    def seconds_to(self, level: float) -> float:
        """How long time takes to bring it there, when nothing else does."""
        return max(0.0, level - self.level) / self.limit.per_second

    def _raise(self, gained: float) -> None:
        self.level = min(self.limit.capacity, self.level + gained)


B = TypeVar("B", bound=Bucket)


def admit(buckets: Sequence[B]) -> B | None:
    """Take a place in each of them; or take none, and give the one to wait at.

    Raises `TooManyAttempts` when one is empty and no place of it is in flight.
    """
    empty = [bucket for bucket in buckets if not bucket.has_place()]
    for_how_long = [bucket.seconds_to(1) for bucket in empty if not bucket.in_flight]
    if for_how_long:
        raise TooManyAttempts(max(1, math.ceil(max(for_how_long) - _ROUNDING)))
    if empty:
        return empty[0]
    for bucket in buckets:
        bucket.take()
    return None
