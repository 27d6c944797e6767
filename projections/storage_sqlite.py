"""SQLite: one file, WAL, every commit on the disk before it is answered.

SQLite 3.7.0 to 3.51.2 can lose a WAL when a checkpoint meets another connection's write, so
every write and checkpoint of every process happens under one lock file. Knows no table.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from projections.reader_sqlite import CLOSED, SqliteReader, unusable
from projections.rows_sqlite import SqliteRows, WritingRows
from projections.storage import (
    LOCK_DEADLINE,
    THREAD_PATIENCE,
    Kind,
    Lost,
    NotDurable,
    Row,
    StorageError,
    Value,
)

READ_PATIENCE: Final = 0.25
"""Seconds that a reader waits for the file: a look-up happens on the event loop."""
UNTIDY: Final = 250
"""Rows written by this process, of some two pages each: a commit tidies up after 1,000 pages."""
TIDYING_PATIENCE: Final = 0.01
"""Seconds that tidying waits for another thread: a view that follows writes after each commit."""

_CACHE: Final = 2_000
_ROOM: Final = 65_536
"""KiB of the file that a connection keeps in memory: as SQLite does, and for long work."""
_FULL: Final = 2


class SqliteStorage:
    """A database file with its lock file beside it.

    The writing connection belongs to whoever holds the lock; each thread reads with its own.
    """

    kind: Kind = "sqlite"

    def __init__(
        self,
        path: Path,
        *,
        synchronous: str = "FULL",
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        # One file, one lock, by whatever name it is reached.
        self.path = path.resolve()
        self._synchronous = synchronous
        self._clock = clock
        self._sleep = sleep
        self._writer: sqlite3.Connection | None = None
        self._thread_lock = threading.Lock()
        self._readers: list[SqliteReader] = []
        self._readers_lock = threading.Lock()
        self._closed = False
        self._local = threading.local()
        self._lock_file = -1
        self._unsynced = False
        """The write-ahead log couldn't be synced: what is read of it has to be written anew."""
        self._tidied = 0
        """Rows that the writing connection had written when it last tidied up."""

    @contextmanager
    def transaction(self) -> Iterator[SqliteRows]:
        """`BEGIN IMMEDIATE` under the lock file."""
        with self._locked():
            connection = self._writing()
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                # One that was opened while the file system was read-only stays so for ever.
                self._drop_writer()
                raise unusable(error) from error
            try:
                yield WritingRows(connection, self._clock)
            finally:
                self._roll_back(connection)

    @contextmanager
    def snapshot(self) -> Iterator[SqliteRows]:
        """One moment of the file, on this thread's reading connection."""
        reader = self._reading()
        with reader.lock:
            connection = reader.open()
            try:
                connection.execute("BEGIN")
            except sqlite3.Error as error:
                raise unusable(error) from error
            try:
                yield SqliteRows(connection, self._clock)
            finally:
                reader.end()

    @contextmanager
    def handover(self, work: Callable[[SqliteRows], None]) -> Iterator[SqliteRows]:
        """The snapshot begins while the lock file is still held."""
        with ExitStack() as reading:
            with self.transaction() as rows:
                work(rows)
                rows.commit()
                snapshot = reading.enter_context(self.snapshot())
                snapshot.fetch("SELECT count(*) FROM sqlite_master")  # a moment begins with a read
            yield snapshot

    @contextmanager
    def roomy(self) -> Iterator[None]:
        """More of the file in memory: what spills out of it is written twice."""
        self._keep(_ROOM)
        try:
            yield
        finally:
            self._keep(_CACHE)

    def _keep(self, size: int) -> None:
        """By the writer and this thread's reader; what fails here fails in the work itself."""
        with suppress(StorageError, sqlite3.Error), self._locked(), self._reading().lock:
            for connection in (self._writing(), self._reading().open()):
                connection.execute(f"PRAGMA cache_size=-{size}")
                connection.execute("PRAGMA shrink_memory")

    def drop(self, table: str) -> None:
        """Under the lock: what is in it is overwritten, so that it had better be empty."""
        with self.transaction() as rows:
            rows.execute(f"DROP TABLE IF EXISTS {table}")
            rows.commit()

    def look_up(self, sql: str, params: Sequence[Value]) -> list[Row]:
        """One read on this thread's connection; raises `Lost`."""
        reader = self._reading()
        with reader.lock:
            try:
                return reader.open().execute(sql, params).fetchall()
            except sqlite3.Error as error:
                raise unusable(error) from error

    def _reading(self) -> SqliteReader:
        reader: SqliteReader | None = getattr(self._local, "reader", None)
        if reader is None:
            with self._readers_lock:
                self._check_open()
                reader = SqliteReader(lambda: self._connect("ro"))
                self._readers.append(reader)
            self._local.reader = reader
        return reader

    def _check_open(self) -> None:
        if self._closed:
            raise Lost(CLOSED)

    def prepare(self) -> None:
        """Create the file, readable by its owner alone, when it isn't there."""
        self._check_open()
        try:
            if not self.path.exists():
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
                # The file's name has to survive a loss of power as well as what is in it.
                directory = os.open(self.path.parent, os.O_RDONLY)
                try:
                    os.fsync(directory)
                finally:
                    os.close(directory)
        except OSError as error:
            raise Lost(str(error)) from error

    def another(self) -> SqliteStorage:
        """Itself: each thread that reads has a connection."""
        return self

    def hasten(self) -> None:
        """Nothing: a file isn't silent."""

    def discard(self) -> None:
        """Close the writing connection, under the lock: closing may checkpoint."""
        with self._locked():
            self._drop_writer()

    def confirm(self, look: Callable[[SqliteRows], object]) -> None:
        """Nothing: one disk has it, and had it before a writing connection was there."""

    def tidy(self) -> None:
        """Bring the write-ahead log into the file, once enough was written (ADR 0023).

        A commit does it when nobody does, and takes the longer the more places of the file were
        written to. What fails here, or finds a lock taken, is left to a commit.
        """
        writer = self._writer
        with suppress(StorageError, sqlite3.Error):
            # Its count has 32 bits, and begins below zero again.
            if writer is None or abs(writer.total_changes - self._tidied) < UNTIDY:
                return
            with self._turn(TIDYING_PATIENCE):
                self._check_open()
                with self._file_lock(0.0):
                    connection = self._writing()
                    self._tidied = connection.total_changes
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def checkpoint(self) -> bool:
        """Bring the write-ahead log into the file and empty it; whether it is empty now.

        Beside an open read it isn't, and nobody waits for that read: the append lock is held. What
        was deleted is in no file afterwards. Raises `Lost`.
        """
        with self._locked():
            connection = self._writing()
            try:
                emptied = _emptied(connection)
            except sqlite3.Error as error:
                self._drop_writer()
                raise Lost(str(error)) from error
            log = self.path.with_name(f"{self.path.name}-wal")
            return emptied and (not log.exists() or not log.stat().st_size)

    def close(self) -> None:
        """Close every connection, once nobody reads; the writer last, so that it checkpoints.

        Whoever comes later is told `Lost`; closing again does nothing.
        """
        with self._readers_lock:
            self._closed = True
            readers, self._readers = self._readers, []
        for reader in readers:
            reader.close()
        with self._turn() as deadline:
            try:
                if self._writer is not None:
                    with self._file_lock(deadline):
                        self._drop_writer()
            finally:
                if self._lock_file >= 0:
                    os.close(self._lock_file)
                    self._lock_file = -1

    def _drop_writer(self) -> None:
        """Under the lock."""
        connection, self._writer = self._writer, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        """Under the lock; a connection that can't is given up, which rolls back as well."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._drop_writer()

    def _writing(self) -> sqlite3.Connection:
        """Under the lock, which a connection that was not set up needs too to be closed."""
        if self._writer is None:
            try:
                connection = self._connect("rw")
                try:
                    self._set_up(connection)
                except BaseException:
                    connection.close()
                    raise
            except sqlite3.Error as error:
                raise unusable(error) from error
            self._writer, self._tidied = connection, 0
        return self._writer

    def _set_up(self, connection: sqlite3.Connection) -> None:
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        connection.execute("PRAGMA secure_delete=ON")
        level = connection.execute("PRAGMA synchronous").fetchone()[0]
        if mode != "wal" or (level < _FULL and self._synchronous == "FULL"):
            msg = f"{self.path} can't be kept durable (journal {mode}, synchronous {level})"
            raise NotDurable(msg)
        if level < _FULL:
            return
        if self._unsynced:
            # Another sync would say that all is well, whatever the one that failed has lost.
            if not _emptied(connection):
                msg = "a read stands before what has to be written anew"
                raise Lost(msg)
            self._unsynced = False
        self._sync_what_is_there()

    def _sync_what_is_there(self) -> None:
        """What a process that was killed inside a commit had written is read, and may be in memory.

        Without locks: SQLite has none on the write-ahead log, which closing this would free.
        """
        try:
            for path in (self.path.with_name(f"{self.path.name}-wal"), self.path.parent):
                opened = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(opened)
                finally:
                    os.close(opened)
        except FileNotFoundError:
            pass  # nothing was written, or all of it is in the file
        except OSError as error:
            if error.errno != errno.EROFS:  # where nothing can be written, no transaction begins
                self._unsynced = True
                raise Lost(str(error)) from error

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            timeout=LOCK_DEADLINE if mode == "rw" else READ_PATIENCE,
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._turn() as deadline:
            self._check_open()
            with self._file_lock(deadline):
                yield

    @contextmanager
    def _turn(self, patience: float = THREAD_PATIENCE) -> Iterator[float]:
        """Among this process's threads; gives when the wait for the file's lock ends."""
        if not self._thread_lock.acquire(timeout=patience):
            msg = "another thread holds the append lock"
            raise Lost(msg)
        try:
            yield time.monotonic() + LOCK_DEADLINE
        finally:
            self._thread_lock.release()

    @contextmanager
    def _file_lock(self, deadline: float) -> Iterator[None]:
        self._take_file_lock(deadline)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _take_file_lock(self, deadline: float) -> None:
        if self._lock_file < 0:
            try:
                self._lock_file = os.open(
                    f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
                )
            except OSError as error:
                raise Lost(str(error)) from error
        pause = 0.0005
        while True:
            try:
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    msg = "another process holds the append lock, perhaps to restore or import"
                    raise Lost(msg) from None
                self._sleep(pause)
                pause = min(pause * 2, 0.01)
            except OSError as error:
                raise Lost(str(error)) from error
            else:
                return


def _emptied(connection: sqlite3.Connection) -> bool:
    """Whether the write-ahead log is in the file, which is synced: not beside an open read."""
    connection.execute("PRAGMA busy_timeout = 0")
    busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]
    connection.execute(f"PRAGMA busy_timeout = {int(LOCK_DEADLINE * 1000)}")
    return not busy
