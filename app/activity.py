"""The days that lie behind, with what happened on each.

Reads a snapshot that it is given. Knows no HTTP.
"""

from __future__ import annotations

from projections.daily_activity import DAY, DAYS, DayRow
from projections.storage import Rows


def days(rows: Rows, now: int, count: int) -> list[DayRow]:
    """The last `count` days up to that of `now` (µs), oldest first; also those without anything."""
    today = now // DAY
    first = today - count + 1
    found = {day.day: day for day in map(DayRow.of, rows.fetch(DAYS, (first, today + 1)))}
    return [found.get(day, DayRow(day, 0, 0, 0, 0, 0)) for day in range(first, today + 1)]
