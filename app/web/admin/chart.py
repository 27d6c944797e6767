"""Daily activity as bars: where each stands and how high it is, for an SVG.

Knows no page and no store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from app.timestamps import rfc3339
from projections.daily_activity import DAY, DayRow

HEIGHT: Final = 48
STEP: Final = 10
"""From a bar to the next one, of which the bar takes eight."""
_NAMES: Final = (
    ("registrations", "Registrations", "good"),
    ("logins", "Logins", ""),
    ("failed_logins", "Failed logins", "bad"),
    ("uses", "Recorded uses", ""),
    ("revocations", "Ended sessions", "warn"),
)


class Bar(NamedTuple):
    """A day."""

    day: str
    number: int
    x: int
    y: float
    height: float


class Chart(NamedTuple):
    """A count over the days; `most` is that of the highest bar."""

    member: str
    name: str
    tone: str
    total: int
    most: int
    width: int
    bars: list[Bar]


def charts(days: Sequence[DayRow]) -> list[Chart]:
    """One for each count, each on a scale of its own."""
    return [_chart(days, member, name, tone) for member, name, tone in _NAMES]


def _chart(days: Sequence[DayRow], member: str, name: str, tone: str) -> Chart:
    counts = [int(getattr(day, member)) for day in days]
    most = max(counts)
    bars = []
    for place, (day, count) in enumerate(zip(days, counts, strict=True)):
        # A single one is still to be seen beside thousands.
        height = max(2.0, round(count / most * HEIGHT, 2)) if count else 0.0
        bars.append(
            Bar(rfc3339(day.day * DAY)[:10], count, place * STEP + 1, HEIGHT - height, height)
        )
    return Chart(member, name, tone, sum(counts), most, len(bars) * STEP, bars)
