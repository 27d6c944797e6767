"""What offline verifiers must stop believing: ended sessions and withdrawn keys.

Inline. Says nothing about whom or why. A row goes when a later revocation finds it over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from domain import events
from domain.events import Event
from domain.policy import REVOCATION_NOTICE
from domain.stream import Recorded
from projections.projection import Mode
from projections.storage import Rows

_CREATE: Final = """
CREATE TABLE IF NOT EXISTS revocations_v1 (
  position BIGINT PRIMARY KEY,
  session_id TEXT,
  kid TEXT,
  until BIGINT NOT NULL
)"""
_CREATE_INDEX: Final = "CREATE INDEX IF NOT EXISTS revocations_v1_until ON revocations_v1 (until)"
_DROP_OVER: Final = "DELETE FROM revocations_v1 WHERE until < ?"
_REVOKE: Final = "INSERT INTO revocations_v1 (position, session_id, kid, until) VALUES (?, ?, ?, ?)"


class Revocations:
    """Keeps `revocations_v1`."""

    name = "revocations"
    version = 1
    mode: Mode = "inline"
    wants: frozenset[type[Event]] = frozenset(
        {events.RefreshTokenRevoked, events.SigningKeyWithdrawn}
    )
    tables: tuple[str, ...] = (_CREATE, _CREATE_INDEX)

    def apply(self, rows: Rows, batch: Sequence[Recorded]) -> None:
        """Note each end, and drop those that no token can outlive."""
        for recorded in batch:
            session_id: str | None = None
            kid: str | None = None
            match recorded.event:
                case events.RefreshTokenRevoked(session_id):
                    pass
                case events.SigningKeyWithdrawn(kid):
                    pass
            until = recorded.time + REVOCATION_NOTICE
            rows.execute(_DROP_OVER, (recorded.time,))
            rows.execute(_REVOKE, (recorded.position, session_id, kid, until))
