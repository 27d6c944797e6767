"""A real SQLite file whose commits meet what the simulation has drawn for them.

Lost, done and reported lost, with the store away for a while afterwards, or with the process gone
before or after. Several processes of the simulation open one file, each with connections of its
own, under the file's own lock. Knows no table.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from projections.storage import Lost
from projections.storage_sqlite import SqliteStorage
from tests.store.unsure import UnsureTransaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from projections.storage import Transaction
    from tests.store import unsure

Fate = Literal["kept", "lost", "done but reported lost", "crash before", "crash after"]


class Crashed(BaseException):
    """The process is gone: no handler of the product's sees this."""


class UnsureFile(SqliteStorage):
    """The file as one process has it open; `fate` is drawn for each commit.

    `committed` hears of each that really happened. While `away` isn't 0, so many transactions
    don't begin. Nothing here loses power, so nothing is flushed to the disk.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float],
        fate: Callable[[], Fate],
        committed: Callable[[], None],
    ) -> None:
        super().__init__(path, synchronous="OFF", clock=clock)
        self.away = 0
        self._fate = fate
        self._committed = committed

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:  # type: ignore[override]
        if self.away:
            self.away -= 1
            raise Lost("the store is away")
        with super().transaction() as rows:
            yield _Fated(rows, self._fate(), self._committed)


class _Fated(UnsureTransaction):
    def __init__(self, rows: Transaction, fate: Fate, committed: Callable[[], None]) -> None:
        told: unsure.Fate = fate if fate in {"lost", "done but reported lost"} else "kept"
        super().__init__(rows, lambda: told)
        self._fate_of_all = fate
        self._committed = committed

    def commit(self) -> None:
        if self._fate_of_all == "crash before":
            raise Crashed
        try:
            super().commit()
        finally:
            if self._fate_of_all != "lost":
                self._committed()
        if self._fate_of_all == "crash after":
            raise Crashed
