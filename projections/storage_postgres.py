"""PostgreSQL: any number of service processes and hosts, one append lock.

The lock is a transaction's advisory lock; the server frees it when its holder is gone, or says
nothing for `LOCK_DEADLINE`; whoever waited that long in vain ends a holder that stopped inside a
pipeline. Writes are sent together, in a pipeline, never with the lock or the commit in it. Knows
no table.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from typing import Final, TypeVar

import psycopg
from psycopg import errors, pq
from psycopg.sql import SQL, Identifier

from projections.connection_postgres import Connection, Ending
from projections.rows_postgres import PostgresRows, translated
from projections.storage import (
    LOCK_DEADLINE,
    THREAD_PATIENCE,
    Ended,
    Kind,
    Lost,
    NotDurable,
)

APPEND_LOCK: Final = 0x67617465626F6F6B
"""The advisory lock's number: «gatebook» in ASCII."""

T = TypeVar("T")

Begin = Callable[[Connection], T]

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
_SILENT_S: Final = 0.5
"""Seconds for which the server has been waiting for a holder that has stopped, at least."""
_KEEP_LOCK: Final = "SELECT pg_advisory_lock($1)"
_GIVE_LOCK: Final = "SELECT pg_advisory_unlock($1)"
_END_SILENT_HOLDER: Final = f"""
SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.classid = {APPEND_LOCK >> 32} AND l.objid = {APPEND_LOCK & 0xFFFFFFFF}
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND a.wait_event_type = 'Client'
  AND clock_timestamp() - a.state_change > interval '{_SILENT_S} s'"""
"""A holder that stopped inside a pipeline is neither idle nor in a statement, so that no time
limit of its session ends it."""
_MARK: Final = "SELECT pg_logical_emit_message(true, 'gatebook', '')"
"""The least that can be written and committed; a commit waits for all before it, too."""
_CLOCK: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_LOCKED: Final = f"BEGIN; SELECT pg_advisory_xact_lock({APPEND_LOCK}); {_CLOCK}"
"""One message, but three statements: whatever is read after the wait sees what was committed
before it ended."""
_SNAPSHOT: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_SERVER: Final = (
    "SELECT pg_is_in_recovery(), current_setting('fsync'), current_setting('synchronous_commit')"
)
STANDBY: Final = (
    "PostgreSQL answers as a standby, which is behind: "
    "add target_session_attrs=read-write to the URL"
)


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

    def __init__(self, url: str, ending: Ending | None = None) -> None:
        self.url = url
        self._ending = ending or Ending()
        self._writer = _Slot("another thread holds the append lock")
        self._reader = _Slot("another thread reads")

    @contextmanager
    def transaction(self) -> Iterator[PostgresRows]:
        """Begin under the append lock."""
        with self._begun(self._writer, _take_lock) as (connection, locked_at):
            yield PostgresRows(connection, locked_at)

    @contextmanager
    def snapshot(self) -> Iterator[PostgresRows]:
        """One moment of the database."""
        with self._begun(self._reader, _take_snapshot) as (connection, _):
            yield PostgresRows(connection)

    @contextmanager
    def handover(self, work: Callable[[PostgresRows], None]) -> Iterator[PostgresRows]:
        """The session keeps the lock beyond its COMMIT, until the snapshot has begun.

        Should it stop there, whoever waits ends it as any silent holder.
        """
        with ExitStack() as reading:
            with self._begun(self._writer, _take_lock) as (connection, locked_at):
                connection.execute(_KEEP_LOCK, (APPEND_LOCK,))
                try:
                    rows = PostgresRows(connection, locked_at)
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
        connection = connect(self.url, self._ending)
        try:
            connection.execute("SET lock_timeout = 500")
            connection.execute(SQL("DROP TABLE IF EXISTS {}").format(Identifier(table)))
        except psycopg.Error as error:
            raise translated(error) from error
        finally:
            connection.close()

    def prepare(self) -> None:
        """Nothing: the database is there, or connecting says so."""

    def another(self) -> PostgresStorage:
        """With connections of its own."""
        return PostgresStorage(self.url, self._ending)

    def hasten(self) -> None:
        """Wait, and connect, for a little longer and then no more."""
        self._ending.begin()

    def discard(self) -> None:
        """Close both connections; the reading one unless somebody reads through it."""
        with self._writer.lock:
            self._writer.close()
        self._reader.drop()

    def tidy(self) -> None:
        """Nothing: the server sees to it."""

    def confirm(self, look: Callable[[PostgresRows], object]) -> None:
        """Commit something, which reaches the standby after all that was committed before.

        One that was waited for in vain is cancelled: else each would keep a process of the server
        until the standby is back.
        """
        with self._begun(self._writer, _take_nothing) as (connection, _):
            connection.cancels = True
            rows = PostgresRows(connection)
            look(rows)
            connection.execute(_MARK)
            rows.commit()

    def close(self) -> None:
        """Close both connections, once nobody uses them."""
        self.discard()
        with self._reader.lock:
            self._reader.close()

    @contextmanager
    def _begun(self, slot: _Slot, begin: Begin[T]) -> Iterator[tuple[Connection, T]]:
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

    def _begin(self, slot: _Slot, begin: Begin[T]) -> tuple[Connection, T]:
        """Begin on the connection that is there, or a new one when it broke before it had begun."""
        if slot.connection is not None:
            if not slot.connection.is_doubtful:
                with suppress(psycopg.Error):
                    return slot.connection, begin(slot.connection)
            slot.close()
        slot.connection = connect(self.url, self._ending)
        return slot.connection, begin(slot.connection)


def connect(url: str, ending: Ending | None = None) -> Connection:
    """A connection with our time limits; raises `Lost` when there is none or only a standby.

    Raises `NotDurable` for `fsync` or `synchronous_commit` off.
    """
    if ending is not None and ending.is_over:
        msg = "the process is about to stop"
        raise Ended(msg)
    try:
        connection = Connection.connect(
            url,
            autocommit=True,
            cursor_factory=psycopg.RawCursor,
            **CONNECT,  # type: ignore[arg-type]
        )
    except psycopg.Error as error:
        raise Lost(str(error)) from error
    connection.ending = ending
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


def _take_lock(connection: Connection) -> int:
    """Begin, and wait for the append lock: the server's time when it was had, in µs.

    In vain, end a holder that the server waits for, for the next, and raise `Lost`.
    """
    try:
        *_, clock = connection.execute(_LOCKED, prepare=False).results()
        return int(clock.fetchall()[0][0])
    except (errors.LockNotAvailable, errors.QueryCanceled) as error:
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
            if not connection.execute(_END_SILENT_HOLDER).fetchall():
                # The lock may have come to another connection of whoever has stopped, just now.
                time.sleep(_SILENT_S)
                connection.execute(_END_SILENT_HOLDER)
        raise Lost(str(error)) from error


def _take_snapshot(connection: Connection) -> None:
    connection.execute(_SNAPSHOT)


def _take_nothing(connection: Connection) -> None:
    connection.execute("BEGIN")


def _give_lock(connection: Connection) -> None:
    """Give back what the session keeps; one that can't is closed, which gives it back as well."""
    try:
        if connection.info.transaction_status != pq.TransactionStatus.IDLE:
            connection.execute("ROLLBACK")
        connection.execute(_GIVE_LOCK, (APPEND_LOCK,))
    except psycopg.Error:
        connection.close()


def _settled(connection: Connection | None) -> Connection | None:
    """The connection out of any transaction, or None when it can't be used again.

    After a failure it can't: a pipeline that broke off leaves the driver believing in prepared
    statements that the server never had.
    """
    if connection is None:
        return None
    connection.silent_for, connection.cancels = None, False
    status = connection.info.transaction_status
    if status == pq.TransactionStatus.INTRANS:
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
            return connection
    elif status == pq.TransactionStatus.IDLE:
        return connection
    connection.close()
    return None
