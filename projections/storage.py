"""What tables are kept in: one behaviour on SQLite and PostgreSQL.

A `Storage` gives write transactions, one at a time over all processes (the append lock), and
read snapshots. SQL uses `?` for parameters and runs on both. Knows no table and no event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final, Literal, Protocol, TypeVar

Value = int | str | bytes | None
Row = tuple[Value, ...]
Statement = tuple[str, Sequence[Value]]
"""What to execute, and its parameters."""
Kind = Literal["sqlite", "postgresql"]

LOCK_DEADLINE: Final = 5.0
"""Seconds after which a wait for the append lock is given up, and a holder that went silent
loses it."""


_TOGETHER: Final = 64
"""Rows in one statement: a thread gives way to others before and after each."""
T = TypeVar("T")

SCANNED: Final = 1000
"""Rows that a scan gives at a time."""

THREAD_PATIENCE: Final = 30.0
"""Seconds that a thread waits for others of its process; each of them is bound by the deadline."""


class StorageError(Exception):
    """The storage did not do what it was asked."""


class Lost(StorageError):
    """The storage can't be reached, or the lock was not had in time. Nothing happened."""


class Ended(Lost):
    """The process is about to stop, and nobody waits any more."""


class NoTable(Lost):
    """A table isn't there: a view was rebuilt since its name was looked up."""


class Refused(StorageError):
    """A statement failed, or a constraint refused it. Nothing happened."""


class OutcomeUnknown(StorageError):
    """The commit was sent and no answer came: it may have happened."""


class NotDurable(StorageError):
    """The storage is set up so that an answered commit could be lost."""


class Rows(Protocol):
    """An open transaction or snapshot."""

    @property
    def kind(self) -> Kind:
        """Of the storage."""

    def execute(self, sql: str, params: Sequence[Value] = ()) -> None:
        """Write; may be sent later, but before the next `fetch` and before the commit."""

    def fetch(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        """Read every row of the result."""

    def scan(self, sql: str, params: Sequence[Value] = ()) -> Iterator[list[Row]]:
        """Read a result of any size, `SCANNED` rows at a time, however long that takes.

        For snapshots: whoever holds the append lock may not take so long. Text that is no UTF-8
        comes with U+FFFD in it. Text is in the order of its bytes with `COLLATE BINARY`.
        """

    def has_table(self, name: str) -> bool:
        """Whether there is a table of that name."""


class Transaction(Rows, Protocol):
    """A write transaction that holds the append lock; rolled back unless committed."""

    def define(self, statement: str) -> None:
        """Run DDL, written with the types `TEXT`, `BIGINT` and `BYTEA`."""

    def analyze(self, tables: Sequence[str]) -> None:
        """Tell the planner what is in tables that this transaction fills, however long that takes.

        For whoever fills a store. Nothing, where the planner needs no telling.
        """

    def clock(self) -> int:
        """The store's time in µs since the epoch, UTC, now or when the lock was had."""

    def commit(self) -> None:
        """Make it durable; raises `Refused`, `Lost` or `OutcomeUnknown`."""


class Storage(Protocol):
    """A database: a SQLite file or a PostgreSQL database."""

    kind: Kind

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin to write; raises `Lost` when the lock is not had in time."""

    def snapshot(self) -> AbstractContextManager[Rows]:
        """Begin to read one moment of the store; raises `Lost`."""

    def handover(self, work: Callable[[Transaction], None]) -> AbstractContextManager[Rows]:
        """Write, commit, and read the moment of that commit, before anybody else has written.

        `work` doesn't commit. Raises what a transaction and a snapshot raise.
        """

    def roomy(self) -> AbstractContextManager[None]:
        """For a long piece of work by this thread, to which more memory is lent meanwhile."""

    def drop(self, table: str) -> None:
        """Drop a table that nobody looks for any more; an empty one, on SQLite.

        Raises `Lost` when somebody still reads it: another time, then.
        """

    def prepare(self) -> None:
        """Make ready for the first transaction: a file needs to be there."""

    def another(self) -> Storage:
        """One of the same database for a thread of its own; itself, where threads share one."""

    def hasten(self) -> None:
        """The process is about to stop: soon nobody waits any more for a server that is silent.

        Nor does whoever uses `another` of this one.
        """

    def discard(self) -> None:
        """Drop the writing connection, so that the next transaction uses a new one."""

    def confirm(self, look: Callable[[Rows], object]) -> None:
        """Wait until what can be read is wherever a commit has to be before it is answered.

        Of a commit that somebody ended the wait of, or a crash, all can be read before. `look` is
        for what was read, and raises when it isn't there: the server that confirms may be another
        than the one that was read from. Raises what that and a transaction and its commit raise.
        """

    def tidy(self) -> None:
        """Do what a later commit would have to do, while nobody waits for one; raises nothing."""

    def close(self) -> None:
        """Close every connection."""


def pieces(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """What one statement writes together: a power of two, so that few are prepared."""
    first = 0
    while left := len(rows) - first:
        size = min(_TOGETHER, 1 << (left.bit_length() - 1))
        yield rows[first : first + size]
        first += size
