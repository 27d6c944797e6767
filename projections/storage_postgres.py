"""PostgreSQL: any number of service processes and hosts, one append lock.

The lock is a transaction's advisory lock; the server frees it when its holder is gone, or says
nothing for `LOCK_DEADLINE`; whoever waited that long in vain ends a holder that stopped inside a
pipeline. Writes are sent together, in a pipeline, never with the lock or the commit in it. Knows
no table.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from functools import lru_cache
from typing import Any, Final, LiteralString

import psycopg
from psycopg import errors, pq
from psycopg.sql import SQL, Identifier

from projections.storage import (
    LOCK_DEADLINE,
    SCANNED,
    THREAD_PATIENCE,
    Kind,
    Lost,
    NoTable,
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
_LOCK: Final = "SELECT pg_advisory_xact_lock($1)"
_KEEP_LOCK: Final = "SELECT pg_advisory_lock($1)"
_GIVE_LOCK: Final = "SELECT pg_advisory_unlock($1)"
_END_SILENT_HOLDER: Final = f"""
SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.classid = {APPEND_LOCK >> 32} AND l.objid = {APPEND_LOCK & 0xFFFFFFFF}
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND a.wait_event_type = 'Client' AND clock_timestamp() - a.state_change > interval '1 second'"""
"""A holder that stopped inside a pipeline is neither idle nor in a statement, so that no time
limit of its session ends it."""
_MARK: Final = "SELECT pg_logical_emit_message(true, 'gatebook', '')"
"""The least that can be written and committed; a commit waits for all before it, too."""
_CLOCK: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_SNAPSHOT: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_PATIENT: Final = "SET LOCAL statement_timeout=0; SET LOCAL idle_in_transaction_session_timeout=0"
"""For a transaction that reads for long, and holds nobody up."""
_SERVER: Final = (
    "SELECT pg_is_in_recovery(), current_setting('fsync'), current_setting('synchronous_commit')"
)
STANDBY: Final = (
    "PostgreSQL answers as a standby, which is behind: "
    "add target_session_attrs=read-write to the URL"
)
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
    """An open transaction; writes wait in `_waiting` until something needs them sent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
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
            self._connection.execute(_PATIENT)
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
            self._connection.execute(_PATIENT)
            self._connection.execute(
                SQL("ANALYZE {}").format(SQL(", ").join(map(Identifier, tables)))
            )
        except psycopg.Error as error:
            raise translated(error) from error

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


class _Slot:
    """A connection with the lock of the thread that uses it."""

    def __init__(self, busy: str) -> None:
        self.busy = busy
        self.lock = threading.Lock()
        self.connection: Connection | None = None

    def close(self) -> None:
        """Close the connection; the lock is held."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    def drop(self) -> None:
        """Close the connection unless somebody uses it, who finds out by himself."""
        if self.lock.acquire(blocking=False):
            self.close()
            self.lock.release()


class PostgresStorage:
    """A database: one connection writes, one reads, each behind a lock of its own."""

    kind: Kind = "postgresql"

    def __init__(self, url: str) -> None:
        self.url = url
        self._writer = _Slot("another thread holds the append lock")
        self._reader = _Slot("another thread reads")

    @contextmanager
    def transaction(self) -> Iterator[PostgresRows]:
        """`BEGIN`, then the append lock, each in a statement of its own."""
        with self._begun(self._writer, "BEGIN") as connection:
            _take_lock(connection)
            yield PostgresRows(connection)

    @contextmanager
    def snapshot(self) -> Iterator[PostgresRows]:
        """One moment of the database."""
        with self._begun(self._reader, _SNAPSHOT) as connection:
            yield PostgresRows(connection)

    @contextmanager
    def handover(self, work: Callable[[PostgresRows], None]) -> Iterator[PostgresRows]:
        """The session keeps the lock beyond its COMMIT, until the snapshot has begun.

        Should it stop there, whoever waits ends it as any silent holder.
        """
        with ExitStack() as reading:
            with self._begun(self._writer, "BEGIN") as connection:
                _take_lock(connection)
                connection.execute(_KEEP_LOCK, (APPEND_LOCK,))
                try:
                    rows = PostgresRows(connection)
                    work(rows)
                    rows.commit()
                    snapshot = reading.enter_context(self.snapshot())
                    snapshot.fetch("SELECT 1")  # a moment begins with a read
                finally:
                    _give_lock(connection)
            yield snapshot

    def roomy(self) -> AbstractContextManager[None]:
        """The server has its memory for all of us."""
        return nullcontext()

    def drop(self, table: str) -> None:
        """By a connection of its own, so that a wait for readers holds nobody up."""
        connection = connect(self.url)
        try:
            connection.execute("SET lock_timeout = 500")
            connection.execute(SQL("DROP TABLE IF EXISTS {}").format(Identifier(table)))
        except psycopg.Error as error:
            raise translated(error) from error
        finally:
            connection.close()

    def prepare(self) -> None:
        """Nothing: the database is there, or connecting says so."""

    def discard(self) -> None:
        """Close both connections; the reading one unless somebody reads through it."""
        with self._writer.lock:
            self._writer.close()
        self._reader.drop()

    def confirm(self) -> None:
        """Commit something: a server that restarts shows what was still to reach its standby."""
        with self._begun(self._writer, "BEGIN") as connection:
            connection.execute(_MARK)
            PostgresRows(connection).commit()

    def close(self) -> None:
        """Close both connections, once nobody uses them."""
        self.discard()
        with self._reader.lock:
            self._reader.close()

    @contextmanager
    def _begun(self, slot: _Slot, begin: LiteralString) -> Iterator[Connection]:
        """A transaction; when its connection is lost at work, the other is dropped too."""
        if not slot.lock.acquire(timeout=THREAD_PATIENCE):
            raise Lost(slot.busy)
        try:
            try:
                yield self._begin(slot, begin)
            except psycopg.Error as error:
                raise translated(error) from error
            finally:
                slot.connection = _settled(slot.connection)
        except Lost:
            (self._reader if slot is self._writer else self._writer).drop()
            raise
        finally:
            slot.lock.release()

    def _begin(self, slot: _Slot, begin: LiteralString) -> Connection:
        """Begin on the connection that is there, or a new one when it broke while idle."""
        if slot.connection is not None:
            with suppress(psycopg.Error):
                slot.connection.execute(begin)
                return slot.connection
            slot.close()
        slot.connection = connect(self.url)
        slot.connection.execute(begin)
        return slot.connection


def connect(url: str) -> Connection:
    """A connection with our time limits; raises `Lost` when there is none or only a standby.

    Raises `NotDurable` for `fsync` or `synchronous_commit` off.
    """
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            cursor_factory=psycopg.RawCursor,
            **CONNECT,  # type: ignore[arg-type]
        )
    except psycopg.Error as error:
        raise Lost(str(error)) from error
    connection.server_cursor_factory = psycopg.RawServerCursor
    try:
        connection.execute(SESSION)
        standby, fsync, synchronous = connection.execute(_SERVER).fetchall()[0]
        if standby:
            raise Lost(STANDBY)
        if fsync != "on" or synchronous == "off":
            msg = f"PostgreSQL runs with fsync={fsync}, synchronous_commit={synchronous}"
            raise NotDurable(msg)
    except BaseException as error:
        connection.close()
        if isinstance(error, psycopg.Error):
            raise Lost(str(error)) from error
        raise
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


def _give_lock(connection: Connection) -> None:
    """Give back what the session keeps; one that can't is closed, which gives it back as well."""
    try:
        if connection.info.transaction_status != pq.TransactionStatus.IDLE:
            connection.execute("ROLLBACK")
        connection.execute(_GIVE_LOCK, (APPEND_LOCK,))
    except psycopg.Error:
        connection.close()


def translated(error: psycopg.Error) -> StorageError:
    """Our word for a driver's error that came before any COMMIT was sent."""
    if isinstance(error, _GONE):
        return Lost(str(error))
    if isinstance(error, errors.UndefinedTable):
        return NoTable(str(error))
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return Lost(str(error))
    return Refused(str(error))


def _settled(connection: Connection | None) -> Connection | None:
    """The connection out of any transaction, or None when it can't be used again.

    After a failure it can't: a pipeline that broke off leaves the driver believing in prepared
    statements that the server never had.
    """
    if connection is None:
        return None
    status = connection.info.transaction_status
    if status == pq.TransactionStatus.INTRANS:
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
            return connection
    elif status == pq.TransactionStatus.IDLE:
        return connection
    connection.close()
    return None
