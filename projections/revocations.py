"""What offline verifiers must stop believing: ended sessions and withdrawn keys.

Inline. Says nothing about whom or why. A row goes when a later revocation finds it over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from domain import events
from domain.events import Event
from domain.policy import REVOCATION_NOTICE
from domain.stream import Recorded
from projections.projection import Mode
from projections.storage import Row, Rows, Value

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

REVOKED_AFTER: Final = """
SELECT position, session_id, kid, until FROM revocations_v1 WHERE position > ? AND until > ?
ORDER BY position LIMIT ?"""
"""Revocations after a position that a token may outlive at a time (µs), in the order of
`RevokedRow`."""


class RevokedRow(NamedTuple):
    """An ended session or a withdrawn key; `until` in µs."""

    position: int
    session_id: str | None
    kid: str | None
    until: int

    @classmethod
    def of(cls, row: Row) -> RevokedRow:
        """The row as the storage gives it."""
        return cls(*row)  # type: ignore[arg-type]


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
        """Note each end, and drop those that no token can outlive.

        Dropping is one statement for all of them, and what the batch itself finds over isn't
        written: the rows are the same as one by one.
        """
        newest = 0
        kept: list[Sequence[Value]] = []
        for recorded in reversed(batch):
            session_id: str | None = None
            kid: str | None = None
            match recorded.event:
                case events.RefreshTokenRevoked(session_id):
                    pass
                case events.SigningKeyWithdrawn(kid):
                    pass
            until = recorded.time + REVOCATION_NOTICE
            if until >= newest:
                kept.append((recorded.position, session_id, kid, until))
            newest = max(newest, recorded.time)
        rows.execute(_DROP_OVER, (newest,))
        for row in reversed(kept):
            rows.execute(_REVOKE, row)
