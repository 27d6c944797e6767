"""An open transaction or snapshot of a PostgreSQL connection, and what its faults are called.

Knows no table, and nothing of servers and locks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import psycopg
from psycopg import errors
from psycopg.errors import Diagnostic
from psycopg.sql import SQL, Identifier

from projections.connection_postgres import PATIENCE, Connection
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

_PATIENT: Final = "SET LOCAL statement_timeout=0; SET LOCAL idle_in_transaction_session_timeout=0"
"""For a transaction that reads for long, and holds nobody up."""
_HAS_TABLE: Final = """
SELECT 1 FROM pg_catalog.pg_tables
WHERE schemaname = ANY (current_schemas(false)) AND tablename = ?"""
"""Not `to_regclass`: that answers from a cache which a wait for the append lock leaves stale."""
_GONE: Final = (
    psycopg.InterfaceError,
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.IdleInTransactionSessionTimeout,
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.ReadOnlySqlTransaction,
    errors.DiskFull,
    errors.TooManyConnections,
)


@lru_cache(maxsize=1024)
def dialect(sql: str) -> str:
    """The same statement with PostgreSQL's own parameters, order and type of bytes.

    Its own, since the driver would read through its kind again for each long statement.
    """
    first, *others = sql.split("?")
    text = first + "".join(f"${number}{piece}" for number, piece in enumerate(others, 1))
    return text.replace("COLLATE BINARY", 'COLLATE "C"').replace(" AS BLOB)", " AS BYTEA)")


class PostgresRows:
    """An open transaction; writes wait in `_waiting` until something needs them sent.

    `locked_at` is when it had the append lock, if it has, in the server's µs.
    """

    kind: Kind = "postgresql"

    def __init__(self, connection: Connection, locked_at: int = 0) -> None:
        self._connection = connection
        self._locked_at = locked_at
        self._waiting: list[tuple[str, Sequence[Value]]] = []
        self._scans = 0

    def execute(self, sql: str, params: Sequence[Value] = ()) -> None:
        """Note a write; it is sent before the next read and before the commit."""
        self._waiting.append((dialect(sql), params))

    def fetch(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        """Read every row."""
        self._send()
        try:
            return self._connection.execute(dialect(sql), params).fetchall()
        except psycopg.Error as error:
            raise translated(error) from error

    def scan(self, sql: str, params: Sequence[Value] = ()) -> Iterator[list[Row]]:
        """Read by a cursor of the server's."""
        self._send()
        self._scans += 1
        try:
            self._be_patient()
            with self._connection.cursor(f"scan_{self._scans}", binary=True) as cursor:
                cursor.execute(dialect(sql), params)
                while found := cursor.fetchmany(SCANNED):
                    yield found
        except psycopg.Error as error:
            raise translated(error) from error

    def define(self, statement: str) -> None:
        """Run DDL."""
        self.execute(statement)

    def analyze(self, tables: Sequence[str]) -> None:
        """The server's own look at them begins after a commit; plans it has kept are made anew."""
        self._send()
        try:
            self._be_patient()
            self._connection.execute(
                SQL("ANALYZE {}").format(SQL(", ").join(map(Identifier, tables)))
            )
        except psycopg.Error as error:
            raise translated(error) from error

    def has_table(self, name: str) -> bool:
        """Whether there is a table of that name."""
        return bool(self.fetch(_HAS_TABLE, (name,)))

    def clock(self) -> int:
        """The server's time when the append lock was had, in µs."""
        return self._locked_at

    def commit(self) -> None:
        """Send what waits, and then COMMIT by itself.

        Whoever ends its wait for the standby has it succeed with a warning: it is on one disk.
        """
        self._send()
        warnings: list[str] = []

        def heard(notice: Diagnostic) -> None:
            if notice.severity_nonlocalized == "WARNING":
                warnings.append(notice.message_primary or "")

        self._connection.add_notice_handler(heard)
        try:
            done = self._connection.execute("COMMIT").statusmessage
        except psycopg.Error as error:
            raise OutcomeUnknown(str(error)) from error
        finally:
            self._connection.remove_notice_handler(heard)
        if warnings:
            raise OutcomeUnknown("; ".join(warnings))
        if done != "COMMIT":
            msg = "a statement had failed: the transaction was rolled back"
            raise Refused(msg)

    def _be_patient(self) -> None:
        self._connection.execute(_PATIENT)
        self._connection.silent_for = PATIENCE

    def _send(self) -> None:
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        try:
            if len(waiting) == 1:
                self._connection.execute(*waiting[0])
                return
            with self._connection.pipeline():
                cursor = self._connection.cursor()
                for sql, params in waiting:
                    cursor.execute(sql, params)
        except psycopg.Error as error:
            raise translated(error) from error


def translated(error: psycopg.Error) -> StorageError:
    """Our word for a driver's error that came before any COMMIT was sent."""
    if isinstance(error, _GONE):
        return Lost(str(error))
    if isinstance(error, errors.UndefinedTable):
        return NoTable(str(error))
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return Lost(str(error))
    return Refused(str(error))
