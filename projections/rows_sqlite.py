"""An open transaction or snapshot of a SQLite connection, and what its faults are called.

Knows no table, and nothing of files and locks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Final

from projections.reader_sqlite import NO_TABLE
from projections.storage import (
    SCANNED,
    Kind,
    Lost,
    NoTable,
    OutcomeUnknown,
    Refused,
    Row,
    StorageError,
    Value,
)

_AT_MOST: Final = 256
"""Writes that wait: whoever fills a store writes millions in one transaction."""
_LOST: Final = ("locked", "unable to open", "disk I/O", "readonly", "full", "busy")


class SqliteRows:
    """An open transaction or snapshot of one connection."""

    kind: Kind = "sqlite"

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock

    def execute(self, sql: str, params: Sequence[Value] = ()) -> None:
        """Write at once."""
        try:
            self._connection.execute(sql, params)
        except sqlite3.Error as error:
            raise _translated(error) from error

    def fetch(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        """Read every row: a cursor left open would pin the WAL."""
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise _translated(error) from error

    def scan(self, sql: str, params: Sequence[Value] = ()) -> Iterator[list[Row]]:
        """Read by a cursor, which pins the WAL no longer than the snapshot does."""
        self._connection.text_factory = _lenient
        try:
            with closing(self._connection.execute(sql, params)) as cursor:
                while found := cursor.fetchmany(SCANNED):
                    yield found
        except sqlite3.Error as error:
            raise _translated(error) from error
        finally:
            self._connection.text_factory = str

    def define(self, statement: str) -> None:
        """Run DDL."""
        self.execute(statement.replace("BIGINT", "INTEGER").replace("BYTEA", "BLOB"))

    def analyze(self, tables: Sequence[str]) -> None:
        """Nothing: it takes an index where there is one, and what it notes would stay behind."""

    def has_table(self, name: str) -> bool:
        """Whether there is a table of that name."""
        sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return bool(self.fetch(sql, (name,)))

    def clock(self) -> int:
        """This machine's time, in µs."""
        return int(self._clock() * 1_000_000)

    def commit(self) -> None:
        """Write the WAL to the disk."""
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise OutcomeUnknown(str(error)) from error


class WritingRows(SqliteRows):
    """An open transaction, whose writes wait for a read or the commit, to be done in one piece."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], float]) -> None:
        super().__init__(connection, clock)
        self._waiting: list[tuple[str, Sequence[Value]]] = []

    def execute(self, sql: str, params: Sequence[Value] = ()) -> None:
        """Note a write; what is wrong with it is heard with what comes next."""
        self._waiting.append((sql, params))
        if len(self._waiting) >= _AT_MOST:
            self._write()

    def fetch(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        """Read every row."""
        self._write()
        return super().fetch(sql, params)

    def scan(self, sql: str, params: Sequence[Value] = ()) -> Iterator[list[Row]]:
        """Read by a cursor."""
        self._write()
        return super().scan(sql, params)

    def commit(self) -> None:
        """Do what waits, and write the WAL to the disk."""
        self._write()
        super().commit()

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        for sql, params in waiting:
            super().execute(sql, params)


def _lenient(text: bytes) -> str:
    return text.decode(errors="replace")


def _translated(error: sqlite3.Error) -> StorageError:
    text = str(error)
    if NO_TABLE in text:
        return NoTable(text)
    if isinstance(error, sqlite3.OperationalError) and any(sign in text for sign in _LOST):
        return Lost(text)
    return Refused(text)
