"""Tables for a while, in no database: views are folded into them to be compared.

SQLite's own temporary database: in memory while it is small, on the disk when it is not, gone
when it is closed. Knows no table.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

from projections.rows_sqlite import SqliteRows

_SETTINGS: Final = (
    "PRAGMA journal_mode=MEMORY",
    "PRAGMA synchronous=OFF",
    "PRAGMA cache_size=-131072",
    "BEGIN",
)


@contextmanager
def scratch() -> Iterator[SqliteRows]:
    """A transaction on nothing, which nobody else sees and nothing keeps."""
    with closing(sqlite3.connect("", isolation_level=None, cached_statements=256)) as connection:
        for statement in _SETTINGS:
            connection.execute(statement)
        yield SqliteRows(connection, time.time)
