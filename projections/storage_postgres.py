"""PostgreSQL: any number of service processes and hosts, one append lock.

The lock is a transaction's advisory lock; the server frees it when its holder is gone, or says
nothing for `LOCK_DEADLINE`; whoever waited that long in vain ends a holder that stopped inside a
pipeline. Writes are sent together, in a pipeline, never with the lock or the
commit in it. Knows no table.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg import errors, pq

from projections.storage import (
    LOCK_DEADLINE,
    Kind,
    Lost,
    NotDurable,
    OutcomeUnknown,
    Refused,
    Row,
    StorageError,
    Value,
)

APPEND_LOCK: Final = 0x67617465626F6F6B
"""The advisory lock's number: «gatebook» in ASCII."""

Connection = psycopg.Connection[tuple[Any, ...]]
AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]

CONNECT: Final = {
    "connect_timeout": 2,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,
    "application_name": "gatebook",
}
_MS: Final = int(LOCK_DEADLINE * 1000)
SESSION: Final = (
    f"SET lock_timeout={_MS}; SET statement_timeout={_MS};"
    f"SET idle_in_transaction_session_timeout={_MS}; SET TimeZone='UTC';"
    "SET default_transaction_isolation='read committed'"
)
_LOCK: Final = "SELECT pg_advisory_xact_lock(%s)"
_END_SILENT_HOLDER: Final = f"""
SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.classid = {APPEND_LOCK >> 32} AND l.objid = {APPEND_LOCK & 0xFFFFFFFF}
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND a.wait_event_type = 'Client' AND clock_timestamp() - a.state_change > interval '1 second'"""
"""A holder that stopped inside a pipeline is neither idle nor in a statement, so that no time
limit of its session ends it."""
_CLOCK: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_DURABLE: Final = "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
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
    """The same statement with PostgreSQL's driver's parameters."""
    return sql.replace("%", "%%").replace("?", "%s")


class PostgresRows:
    """An open transaction; writes wait in `_waiting` until something needs them sent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[str, Sequence[Value]]] = []

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

    def define(self, statement: str) -> None:
        """Run DDL."""
        self.execute(statement)

    def has_table(self, name: str) -> bool:
        """Whether there is a table of that name."""
        return bool(self.fetch(_HAS_TABLE, (name,)))

    def clock(self) -> int:
        """The server's time, in µs."""
        return int(self.fetch(_CLOCK)[0][0])  # type: ignore[arg-type]

    def commit(self) -> None:
        """Send what waits, and then COMMIT by itself."""
        self._send()
        try:
            done = self._connection.execute("COMMIT").statusmessage
        except psycopg.Error as error:
            raise OutcomeUnknown(str(error)) from error
        if done != "COMMIT":
            msg = "a statement had failed: the transaction was rolled back"
            raise Refused(msg)

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


class PostgresStorage:
    """A database: one connection writes, one reads, each behind a lock of its own."""

    kind: Kind = "postgresql"

    def __init__(self, url: str) -> None:
        self.url = url
        self._writer: Connection | None = None
        self._reader: Connection | None = None
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[PostgresRows]:
        """`BEGIN`, then the append lock, each in a statement of its own."""
        if not self._write_lock.acquire(timeout=LOCK_DEADLINE):
            msg = "another thread holds the append lock"
            raise Lost(msg)
        try:
            if self._writer is None or self._writer.closed:
                self._writer = connect(self.url)
            connection = self._writer
            try:
                connection.execute("BEGIN")
                _take_lock(connection)
                yield PostgresRows(connection)
            except psycopg.Error as error:
                raise translated(error) from error
            finally:
                self._writer = _settled(connection)
        finally:
            self._write_lock.release()

    @contextmanager
    def snapshot(self) -> Iterator[PostgresRows]:
        """One moment of the database."""
        if not self._read_lock.acquire(timeout=LOCK_DEADLINE):
            msg = "another thread reads"
            raise Lost(msg)
        try:
            if self._reader is None or self._reader.closed:
                self._reader = connect(self.url)
            connection = self._reader
            try:
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                yield PostgresRows(connection)
            except psycopg.Error as error:
                raise translated(error) from error
            finally:
                self._reader = _settled(connection)
        finally:
            self._read_lock.release()

    def prepare(self) -> None:
        """Nothing: the database is there, or connecting says so."""

    def discard(self) -> None:
        """Close the writing connection."""
        with self._write_lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def close(self) -> None:
        """Close both connections."""
        self.discard()
        with self._read_lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None


def connect(url: str) -> Connection:
    """A connection with our time limits, to a server that keeps what it answers for.

    Raises `Lost` when there is none to be had, `NotDurable` for `fsync` or `synchronous_commit`
    off.
    """
    try:
        connection = psycopg.connect(url, autocommit=True, **CONNECT)  # type: ignore[arg-type]
        connection.execute(SESSION)
        fsync, synchronous = connection.execute(_DURABLE).fetchall()[0]
    except psycopg.Error as error:
        raise Lost(str(error)) from error
    if fsync != "on" or synchronous == "off":
        connection.close()
        msg = f"PostgreSQL runs with fsync={fsync}, synchronous_commit={synchronous}"
        raise NotDurable(msg)
    return connection


def _take_lock(connection: Connection) -> None:
    """Wait for the append lock; in vain, end a holder that the server waits for, for the next."""
    try:
        connection.execute(_LOCK, (APPEND_LOCK,))
    except (errors.LockNotAvailable, errors.QueryCanceled):
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
            connection.execute(_END_SILENT_HOLDER)
        raise


def translated(error: psycopg.Error) -> StorageError:
    """Our word for a driver's error that came before any COMMIT was sent."""
    if isinstance(error, _GONE):
        return Lost(str(error))
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return Lost(str(error))
    return Refused(str(error))


def _settled(connection: Connection) -> Connection | None:
    """The connection out of any transaction, or None when it can't be used again.

    After a failure it can't: a pipeline that broke off leaves the driver believing in prepared
    statements that the server never had.
    """
    status = connection.info.transaction_status
    if status == pq.TransactionStatus.INTRANS:
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
            return connection
    elif status == pq.TransactionStatus.IDLE:
        return connection
    connection.close()
    return None


async def connect_reader(url: str) -> AsyncConnection:
    """A connection for look-ups on an event loop, with shorter limits; raises `Lost`."""
    try:
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True, **CONNECT)  # type: ignore[arg-type]
        await connection.execute("SET statement_timeout=1500; SET TimeZone='UTC'")
    except (psycopg.Error, OSError) as error:
        raise Lost(str(error)) from error
    return connection


async def fetch_reader(
    connection: AsyncConnection, sql: str, params: Sequence[Value | list[str]]
) -> list[Row]:
    """Read every row of a look-up; raises `Lost` for any fault: reading again is harmless."""
    try:
        cursor = await connection.execute(dialect(sql), params, prepare=True)
        return await cursor.fetchall()
    except psycopg.Error as error:
        raise Lost(str(error)) from error
