"""What happened on each day: registrations, logins, failed ones, recorded uses, revocations.

Following: nobody gets in by it, so it is written soon after the events. Days are UTC's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

from domain import events
from domain.events import Event
from domain.stream import Recorded
from projections.projection import Mode
from projections.storage import Row, Rows

DAY: Final = 86_400_000_000
"""In µs."""

_CREATE: Final = """
CREATE TABLE IF NOT EXISTS daily_activity_v1 (
  day BIGINT PRIMARY KEY,
  registrations BIGINT NOT NULL,
  logins BIGINT NOT NULL,
  failed_logins BIGINT NOT NULL,
  uses BIGINT NOT NULL,
  revocations BIGINT NOT NULL
)"""
_COUNT: Final = """
INSERT INTO daily_activity_v1 (day, registrations, logins, failed_logins, uses, revocations)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (day) DO UPDATE SET
  registrations = daily_activity_v1.registrations + excluded.registrations,
  logins = daily_activity_v1.logins + excluded.logins,
  failed_logins = daily_activity_v1.failed_logins + excluded.failed_logins,
  uses = daily_activity_v1.uses + excluded.uses,
  revocations = daily_activity_v1.revocations + excluded.revocations"""

DAYS: Final = """
SELECT day, registrations, logins, failed_logins, uses, revocations FROM daily_activity_v1
WHERE day >= ? AND day < ? ORDER BY day"""
"""The days with anything on them in a range, in the order of `DayRow`."""

_REGISTRATIONS, _LOGINS, _FAILED, _USES, _REVOCATIONS = range(5)


class DayRow(NamedTuple):
    """The counts of one day, which `day` numbers from 1 January 1970."""

    day: int
    registrations: int
    logins: int
    failed_logins: int
    uses: int
    revocations: int

    @classmethod
    def of(cls, row: Row) -> DayRow:
        """The row as the storage gives it."""
        return cls(*row)  # type: ignore[arg-type]


class DailyActivity:
    """Keeps `daily_activity_v1`."""

    name = "daily_activity"
    version = 1
    mode: Mode = "follow"
    wants: frozenset[type[Event]] = frozenset(
        {
            events.UserRegistered,
            events.UserLoggedIn,
            events.UserLoginFailed,
            events.RefreshTokenUsed,
            events.RefreshTokenRevoked,
        }
    )
    tables: tuple[str, ...] = (_CREATE,)

    def apply(self, rows: Rows, batch: Sequence[Recorded]) -> None:
        """Add to the counts of the days on which these happened."""
        days: dict[int, list[int]] = defaultdict(lambda: [0] * 5)
        for recorded in batch:
            column, times = _counted(recorded.event)
            days[recorded.time // DAY][column] += times
        for day, counts in days.items():
            rows.execute(_COUNT, (day, *counts))


def _counted(event: Event) -> tuple[int, int]:
    """Which column an event adds to, and how much."""
    match event:
        case events.UserRegistered():
            return _REGISTRATIONS, 1
        case events.UserLoggedIn():
            return _LOGINS, 1
        case events.UserLoginFailed(count):
            return _FAILED, count
        case events.RefreshTokenUsed():
            return _USES, 1
        case events.RefreshTokenRevoked():
            return _REVOCATIONS, 1
        case _:
            msg = f"the daily activity doesn't want {event.name}"
            raise TypeError(msg)
