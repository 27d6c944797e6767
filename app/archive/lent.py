"""A transaction that is open already, as a storage: what works on it commits nothing by itself.

Knows no table. After any failure it refuses to go on: its owner rolls all of it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from projections.storage import Kind, Lost, Row, Rows, Storage, Transaction, Value


class _Uncommitted:
    """The transaction, but for its end."""

    def __init__(self, rows: Transaction) -> None:
        self._rows = rows

    @property
    def kind(self) -> Kind:
        return self._rows.kind

    def execute(self, sql: str, params: Sequence[Value] = ()) -> None:
        self._rows.execute(sql, params)

    def fetch(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        return self._rows.fetch(sql, params)

    def scan(self, sql: str, params: Sequence[Value] = ()) -> Iterator[list[Row]]:
        return self._rows.scan(sql, params)

    def define(self, statement: str) -> None:
        self._rows.define(statement)

    def analyze(self, tables: Sequence[str]) -> None:
        self._rows.analyze(tables)

    def has_table(self, name: str) -> bool:
        return self._rows.has_table(name)

    def clock(self) -> int:
        return self._rows.clock()

    def commit(self) -> None:
        """Its owner does, when all is done."""


class LentStorage:
    """Gives one transaction again and again."""

    def __init__(self, rows: Transaction) -> None:
        self.kind = rows.kind
        self._rows = _Uncommitted(rows)
        self._failed = False

    @contextmanager
    def transaction(self) -> Iterator[_Uncommitted]:
        """The transaction; raises `Lost` when something in it has failed before."""
        if self._failed:
            msg = "something has failed in this transaction"
            raise Lost(msg)
        try:
            yield self._rows
        except BaseException:
            self._failed = True
            raise

    def snapshot(self) -> AbstractContextManager[Rows]:
        """The same, with what was written."""
        return self.transaction()

    def handover(self, work: Callable[[Transaction], None]) -> AbstractContextManager[Rows]:
        """Not here: what was written is nobody's before its owner has committed."""
        raise TypeError(work)

    def confirm(self, look: Callable[[Rows], object]) -> None:
        """Nothing: its owner's commit is for all of it."""

    def tidy(self) -> None:
        """Nothing: it has one commit."""

    def roomy(self) -> AbstractContextManager[None]:
        """Not here: nothing takes long in it but its owner's own work."""
        raise TypeError

    def drop(self, table: str) -> None:
        """Not here: its owner made every table just now."""
        raise TypeError(table)

    def prepare(self) -> None:
        """Nothing: it is there."""

    def another(self) -> Storage:
        """Not here: it has one connection."""
        raise TypeError

    def hasten(self) -> None:
        """Its connection is its owner's."""

    def discard(self) -> None:
        """Its connection is its owner's."""

    def close(self) -> None:
        """Its connection is its owner's."""
