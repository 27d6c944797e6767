"""How many events of each type the log holds, and how far each view is, for whoever looks on.

An event is never changed or removed, so what was counted once stays counted: asked again, only the
events since are looked at, and of a long log that nobody asked about a part at a time. Where a
fail-over took events back all are counted anew. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, Literal, NamedTuple

import msgspec

from app.eventstore.log import COUNTS, Head, Replaced, read_head
from app.projection_list import items
from app.reading import Reading
from projections.storage import Row, Rows

SPAN: Final = 10_000
"""Events that are counted for one who asks."""
FRESH: Final = 0.5
"""Seconds for which an answer that reached the head is given again."""


class ViewStanding(msgspec.Struct, frozen=True):
    """How many events a view is behind the log, and whether it stands still there."""

    name: str
    state: Literal["live", "building", "stalled"]
    lag: int


class Tallied(msgspec.Struct, frozen=True):
    """How many of each there are among the events up to `position`; `head` is the log's last."""

    log_id: str = ""
    position: int = 0
    head: int = 0
    counts: Mapping[str, int] = {}
    views: tuple[ViewStanding, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all of the log was counted."""
        return self.position == self.head


class Counted(NamedTuple):
    """What is told, and the head that the log had then: it must be in the log the next time."""

    told: Tallied = Tallied()
    head: Head | None = None


class Tally:
    """Belongs to the event loop. `clock` gives µs, `tick` seconds."""

    def __init__(
        self,
        reading: Reading,
        clock: Callable[[], int],
        *,
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reading = reading
        self._clock = clock
        self._tick = tick
        self._known = Counted()
        self._until = 0.0
        self._counting = asyncio.Lock()

    async def now(self) -> Tallied:
        """The counts, further than before when there is more; raises as `Reading.read` does."""
        async with self._counting:
            if self._tick() >= self._until:
                known, moment = self._known, self._clock()
                self._known = await self._reading.read(lambda rows: further(rows, known, moment))
                self._until = self._tick() + FRESH if self._known.told.is_whole else 0.0
            return self._known.told


def further(rows: Rows, known: Counted, now: int, span: int = SPAN) -> Counted:
    """What is known with the next events counted too; from the first on when it is another log."""
    before, head = _held(rows, known)
    last = min(before.position + span, head.position)
    counts = Counter(before.counts)
    counts.update(dict(map(_count, rows.fetch(COUNTS, (before.position, last)))))
    views = tuple(ViewStanding(each.name, each.state, each.lag) for each in items(rows, now))
    return Counted(Tallied(head.log_id, last, head.position, dict(counts), views), head)


def _held(rows: Rows, known: Counted) -> tuple[Tallied, Head]:
    """What is known, or nothing when the log doesn't hold what was counted; and the head."""
    with suppress(Replaced):
        head = read_head(rows, known.head)
        if head.log_id == known.told.log_id:
            return known.told, head
    head = read_head(rows)
    return Tallied(head.log_id), head


def _count(row: Row) -> tuple[str, int]:
    topic, count = row
    return str(topic), int(count or 0)
