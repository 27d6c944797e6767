"""One thread's reading connection to a SQLite file, which may be closed by another thread.

Knows no table, and nothing of how the file is written.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from projections.storage import Lost, NoTable, Refused, StorageError

CLOSED: Final = "the storage is closed"
NO_TABLE: Final = "no such table"
_BROKEN: Final = ("not a database", "malformed")


class SqliteReader:
    """One thread's reading connection; `lock` keeps another thread from closing it meanwhile."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self.lock = threading.RLock()
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    def open(self) -> sqlite3.Connection:
        """The connection; raises `Lost` when there is none to be had."""
        if self._closed:
            raise Lost(CLOSED)
        if self._connection is None:
            try:
                self._connection = self._connect()
            except sqlite3.Error as error:
                raise unusable(error) from error
        return self._connection

    def end(self) -> None:
        """End a snapshot; nothing was written, so a connection that can't end it is given up."""
        try:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._drop()

    def close(self) -> None:
        """Close it for good, once its thread has read what it reads."""
        with self.lock:
            self._closed = True
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def unusable(error: sqlite3.Error) -> StorageError:
    """Another try helps, unless what is there is no database, or a damaged one."""
    text = str(error)
    if NO_TABLE in text:
        return NoTable(text)
    return Refused(text) if any(sign in text for sign in _BROKEN) else Lost(text)
