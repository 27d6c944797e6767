"""A real storage whose answers get lost on the way: each write as lost, and as done all the same.

Knows no table.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from projections.storage import Lost, OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from projections.storage import Kind, Row, Rows, Storage, Transaction, Value

Fate = Literal["kept", "lost", "done but reported lost"]


class UnsureTransaction:
    """A transaction of the real storage; its commit meets the next fate."""

    def __init__(self, rows: Transaction, fate: Callable[[], Fate]) -> None:
        self._rows = rows
        self._fate = fate

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
        fate = self._fate()
        if fate != "lost":
            self._rows.commit()
        if fate != "kept":
            raise OutcomeUnknown(fate)


class UnsureStorage:
    """Commits meet `fates` in turn and are kept afterwards; `away` transactions don't begin.

    `meanwhile` runs once, when somebody drops the connection to find out what became of a commit.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.kind: Kind = storage.kind
        self.fates: deque[Fate] = deque()
        self.away = 0
        self.commits = 0
        self.meanwhile: Callable[[], None] | None = None

    @contextmanager
    def transaction(self) -> Iterator[UnsureTransaction]:
        if self.away:
            self.away -= 1
            msg = "away"
            raise Lost(msg)
        with self._storage.transaction() as rows:
            yield UnsureTransaction(rows, self._fate)

    def snapshot(self) -> AbstractContextManager[Rows]:
        return self._storage.snapshot()

    def roomy(self) -> AbstractContextManager[None]:
        return self._storage.roomy()

    def handover(self, work: Callable[[Transaction], None]) -> AbstractContextManager[Rows]:
        return self._storage.handover(work)

    def drop(self, table: str) -> None:
        self._storage.drop(table)

    def prepare(self) -> None:
        self._storage.prepare()

    def another(self) -> Storage:
        return self._storage.another()

    def hasten(self) -> None:
        self._storage.hasten()

    def discard(self) -> None:
        self._storage.discard()
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()

    def confirm(self, look: Callable[[Rows], object]) -> None:
        self._storage.confirm(look)

    def tidy(self) -> None:
        self._storage.tidy()

    def close(self) -> None:
        self._storage.close()

    def _fate(self) -> Fate:
        self.commits += 1
        return self.fates.popleft() if self.fates else "kept"
