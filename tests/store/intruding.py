"""Somebody who has the database but no key: changes rows past the triggers, reads every byte.

Knows the tables, and nothing of the service.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from projections.rows_postgres import dialect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from projections.storage import Row, Transaction, Value

SQLITE: Final = "sqlite:///"

_SQLITE_TRIGGERS: Final = ("events_never_change", "events_never_go", "events_are_dense")


class Intruder:
    """An open connection that obeys nobody."""

    def __init__(self, connection: sqlite3.Connection | psycopg.Connection) -> None:
        self._connection = connection

    def run(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        """Run a statement and read what it gives."""
        if isinstance(self._connection, sqlite3.Connection):
            return self._connection.execute(sql, params).fetchall()
        cursor = psycopg.RawCursor(self._connection).execute(dialect(sql), params)
        return cursor.fetchall() if cursor.description else []

    def refuse(self, table: str, column: str, value: str) -> None:
        """Make the database refuse to insert a row with this value."""
        if isinstance(self._connection, sqlite3.Connection):
            self.run(
                f"CREATE TRIGGER poison BEFORE INSERT ON {table} WHEN NEW.{column} = '{value}' "
                "BEGIN SELECT RAISE(ABORT, 'poisoned'); END"
            )
            return
        self.run(
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ "
            "BEGIN RAISE EXCEPTION 'poisoned'; END $$"
        )
        self.run(
            f"CREATE TRIGGER poison BEFORE INSERT ON {table} FOR EACH ROW "
            f"WHEN (NEW.{column} = '{value}') EXECUTE FUNCTION poison()"
        )

    def relent(self, table: str) -> None:
        """Undo `refuse`."""
        on = "" if isinstance(self._connection, sqlite3.Connection) else f" ON {table}"
        self.run(f"DROP TRIGGER poison{on}")


@contextmanager
def intrude(url: str) -> Iterator[Intruder]:
    """Connect to the database of a store, past its code."""
    if url.startswith(SQLITE):
        file = sqlite3.connect(url.removeprefix(SQLITE), isolation_level=None)
        try:
            yield Intruder(file)
        finally:
            file.close()
        return
    with psycopg.connect(url, autocommit=True) as connection:
        yield Intruder(connection)


def unseal(rows: Transaction, kind: str) -> None:
    """Switch off what guards the events, for this transaction."""
    if kind == "sqlite":
        for trigger in _SQLITE_TRIGGERS:
            rows.execute(f"DROP TRIGGER {trigger}")
    else:
        rows.execute("ALTER TABLE events DISABLE TRIGGER ALL")


def dump(url: str) -> bytes:
    """Every byte that the database holds: its files, or each of its tables in binary."""
    if url.startswith(SQLITE):
        path = Path(url.removeprefix(SQLITE))
        return b"".join(each.read_bytes() for each in sorted(path.parent.glob(f"{path.name}*")))
    with psycopg.connect(url, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        ).fetchall()
        found = bytearray()
        for (table,) in tables:
            with connection.cursor().copy(f"COPY {table} TO STDOUT (FORMAT binary)") as copy:
                for block in copy:
                    found += block
    return bytes(found)
