"""Rows of somebody who was erased: whatever tables there are, none but the log's has any.

Knows no person but by the user_key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from projections.registry import PROJECTIONS
from tests.prove.stored import TABLE
from tests.store.intruding import SQLITE, intrude

if TYPE_CHECKING:
    from projections.storage import Row
    from tests.prove.tally import Tally

OF_THE_LOG: Final = {
    "events",
    *(table for each in PROJECTIONS for table in TABLE.findall("".join(each.tables))),
}
"""Tables that keep rows of who was erased: the log, of which nothing goes, and what it folds to."""
KEYED: Final = {"known_networks", "snapshots", "user_ids", "user_keys"}
"""Some that have to be found to have rows of those who stayed."""
EMPTIED: Final = "user_keys"
"""Whose rows stay without a key in them, at a version below 0, so that SQLite joins no pages."""


def expect_none(url: str, gone: set[str], stayed: set[str], tally: Tally) -> None:
    """Who was erased has a row in no table but those of the log; those who stayed have theirs."""
    found = _tables_of(url, gone | stayed)
    for table, user_keys in found.items():
        left = user_keys & gone
        if table not in OF_THE_LOG:
            tally.expect(not left, f"{table} has rows of {len(left)} who were erased")
    keyed = {table for table, user_keys in found.items() if user_keys & stayed}
    tally.control("rows of those who stayed", noticed=keyed >= KEYED)


def _tables_of(url: str, user_keys: set[str]) -> dict[str, set[str]]:
    """For each table that there is, those of the users of whom a column of a row is the key."""
    listed = "SELECT name FROM sqlite_master WHERE type = 'table'"
    if not url.startswith(SQLITE):
        listed = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    with intrude(url) as intruder:
        return {
            str(table): {
                value
                for row in intruder.run(f"SELECT * FROM {table}")
                for value in row
                if value in user_keys and not (table == EMPTIED and _is_empty(row))
            }
            for (table,) in intruder.run(listed)
        }


def _is_empty(row: Row) -> bool:
    """Whether nothing but its first value, whose it is, says anything."""
    return all(value < 0 if isinstance(value, int) else not value for value in row[1:])
