"""The limits and lifetimes that rules need, as one Struct.

Knows no setting's name and no default of the environment: `app.settings` fills it.
Durations are in µs.
"""

from __future__ import annotations

from typing import Final

import msgspec

SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND

MAX_ACCESS_TOKEN_LIFE: Final = 3_600 * SECOND
REVOCATION_NOTICE: Final = MAX_ACCESS_TOKEN_LIFE + 60 * SECOND
"""How long after its end a session stays on the revocation feed: the longest life of an access
token and a minute of skew, whatever the settings."""

CLOCK_TOLERANCE: Final = 60 * SECOND
"""How far a process's clock may be from the store's."""

DELAYED_DUPLICATE: Final = 10 * SECOND
"""How long after its rotation a retired token may come late without being taken for reuse."""

ENDED_SESSION_KEPT: Final = 30 * DAY
"""How long a session that is over stays in the views."""


class Policy(msgspec.Struct, frozen=True):
    """What the operator decided."""

    session_idle: int = 30 * DAY
    session_max: int = 365 * DAY
    session_cap: int = 100
    record_every_use: bool = False
    retry_window: int = 60 * SECOND

    @property
    def use_interval(self) -> int:
        """A use this long after the last recorded one is recorded again."""
        return min(DAY, self.session_idle // 10)

    def ends_at(self, expires_at: int, last_used_at: int) -> int:
        """When a session is over that isn't used again: the earlier of its two limits."""
        return min(expires_at, last_used_at + self.session_idle)
