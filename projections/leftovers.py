"""Tables of views that nothing names any more, and dropping them.

A swap leaves the old table behind, a rebuild that was cancelled or gave up the new one. Dropping
takes long and may be broken off: whoever looks next finishes it. A build's number is never used
again, so what is left over stays so. Knows no view.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from projections.live import read_pointers
from projections.projection import Projection
from projections.rebuild_state import read_state
from projections.storage import Kind, Lost, Rows, Storage

DROPPED: Final = 500
"""Rows of a table that go at a time."""
_PAUSE: Final = 0.001
"""Seconds between two portions, for others who want to write."""

_TABLES: Final[Mapping[Kind, str]] = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "postgresql": """
SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = ANY (current_schemas(false))""",
}
_OF_A_VIEW: Final = re.compile(r"(\w+?)(?:_r\d+)?_v\d+")


def leftovers(rows: Rows, kind: Kind, kept: Sequence[Projection]) -> list[str]:
    """Those that no pointer and no rebuild names, of views that have a pointer."""
    pointers, state = read_pointers(rows), read_state(rows)
    used = {each.table for each in pointers.values()} | ({state.table} if state else set())
    ours = {each.name for each in kept} & pointers.keys()
    names = sorted(str(name) for (name,) in rows.fetch(_TABLES[kind]))
    found = ((name, _OF_A_VIEW.fullmatch(name)) for name in names)
    return [name for name, of in found if of and of[1] in ours and name not in used]


def sweep(
    storage: Storage, kept: Sequence[Projection], going_on: Callable[[], None] = lambda: None
) -> None:
    """Drop them; one that somebody reads stays for another time.

    `going_on` is called between the steps, and may raise to leave the rest for another time.
    """
    with storage.snapshot() as rows:
        left = leftovers(rows, storage.kind, kept)
    for table in left:
        going_on()
        with suppress(Lost):
            if storage.kind == "sqlite":
                _empty(storage, table, going_on)
            storage.drop(table)


def _empty(storage: Storage, table: str, going_on: Callable[[], None]) -> None:
    """Row by row: what is deleted there is overwritten, which takes long for many."""
    left = True
    while left:
        with storage.transaction() as rows:
            if not rows.has_table(table):
                return
            rows.execute(
                f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} LIMIT {DROPPED})"
            )
            left = bool(rows.fetch(f"SELECT 1 FROM {table} LIMIT 1"))
            rows.commit()
        going_on()
        time.sleep(_PAUSE)
