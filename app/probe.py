"""A row that is changed for no other reason than to see that the store can be written.

A change that is rolled back, or that changes nothing, finds no disk that is full. Knows nothing of
who looks, or of what follows.
"""

from __future__ import annotations

from typing import Final

from projections.storage import Transaction

CREATE: Final = """
CREATE TABLE IF NOT EXISTS probe (
  one BIGINT PRIMARY KEY CHECK (one = 1),
  time BIGINT NOT NULL
)"""
_WRITE: Final = """
INSERT INTO probe (one, time) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET time = excluded.time"""


def write_probe(rows: Transaction, now: int) -> None:
    """Write the time (µs) and commit; raises what the storage raises."""
    rows.execute(_WRITE, (now,))
    rows.commit()
