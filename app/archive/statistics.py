"""What the database's planner knows of tables that are being filled, in a transaction of its own.

Nothing else tells it before the commit: it would go on to read every row of what was empty when it
first looked. Knows what a store's tables are called, and nothing of what is in them.
"""

from __future__ import annotations

from typing import Final

from projections.comparison import tables_of
from projections.live import newest
from projections.registry import PROJECTIONS
from projections.storage import Transaction

FIRST: Final = 1_000
"""Rows after which it is told for the first time, and then whenever they have doubled."""

_TABLES: Final = (
    "events",
    "user_ids",
    "user_keys",
    *(table.name for each in newest(PROJECTIONS) for table in tables_of(each)),
)


class Statistics:
    """Of a store's tables, under the names that they are made with."""

    def __init__(self, rows: Transaction) -> None:
        self._rows = rows
        self._written = 0
        self._next = FIRST

    def wrote(self, count: int) -> None:
        """So many rows more; tells the planner when it is time to."""
        self._written += count
        if self._written >= self._next:
            self._next = 2 * self._written
            self.refresh()

    def refresh(self) -> None:
        """Tell the planner now."""
        self._rows.analyze(_TABLES)
