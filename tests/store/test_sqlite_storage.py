"""A SQLite file's connections: what is thrown away when they fail, and nothing after the end."""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Final

import pytest

from projections.storage import LOCK_DEADLINE, Lost
from projections.storage_sqlite import READ_PATIENCE, SqliteStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Meant(Exception):
    """What the body of a transaction raises."""


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SqliteStorage]:
    storage = SqliteStorage(tmp_path / "gatebook.db")
    storage.prepare()
    with storage.transaction() as rows:
        rows.define("CREATE TABLE kept (number BIGINT)")
        rows.commit()
    yield storage
    storage.close()


def write(storage: SqliteStorage) -> None:
    with storage.transaction() as rows:
        rows.execute("INSERT INTO kept VALUES (1)")
        rows.commit()


def read(storage: SqliteStorage) -> int:
    with storage.snapshot() as rows:
        return len(rows.fetch("SELECT number FROM kept"))


def fail_writing(storage: SqliteStorage) -> None:
    with storage.transaction() as rows:
        rows.execute("INSERT INTO kept VALUES (1)")
        storage._writer.close()  # so that it can't be rolled back
        raise Meant


def fail_reading(storage: SqliteStorage) -> None:
    with storage.snapshot() as rows:
        rows.fetch("SELECT number FROM kept")
        storage._local.reader._connection.close()
        raise Meant


@pytest.mark.parametrize("fail", [fail_writing, fail_reading])
def test_an_end_that_fails_hides_no_error_and_the_next_use_connects_anew(
    storage: SqliteStorage, fail: Callable[[SqliteStorage], None]
) -> None:
    with pytest.raises(Meant):
        fail(storage)
    write(storage)
    assert read(storage) == 1


def test_a_snapshot_whose_end_fails_was_read_all_the_same(storage: SqliteStorage) -> None:
    with storage.snapshot() as rows:
        assert rows.fetch("SELECT number FROM kept") == []
        storage._local.reader._connection.close()
    assert read(storage) == 0


USES: Final[dict[str, Callable[[SqliteStorage], object]]] = {
    "a transaction": write,
    "a snapshot": read,
    "a look-up": lambda storage: storage.look_up("SELECT 1", ()),
    "discarding": SqliteStorage.discard,
    "preparing": SqliteStorage.prepare,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("known", [True, False], ids=["a thread that read", "a new thread"])
def test_a_closed_storage_is_lost(
    storage: SqliteStorage, use: Callable[[SqliteStorage], object], known: bool
) -> None:
    read(storage)
    storage.close()
    told: list[str] = []

    def try_it() -> None:
        try:
            use(storage)
        except Lost as error:
            told.append(str(error))

    if known:
        try_it()
    else:
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    assert told == ["the storage is closed"]
    assert storage._writer is None
    assert storage._lock_file == -1


def test_closing_twice_is_closing_once(storage: SqliteStorage) -> None:
    storage.close()
    before = sorted(storage.path.parent.iterdir())
    storage.close()
    assert sorted(storage.path.parent.iterdir()) == before


def test_who_waits_for_the_lock_while_it_is_closed_is_told_so(storage: SqliteStorage) -> None:
    told: list[str] = []

    def late() -> None:
        try:
            write(storage)
        except Lost as error:
            told.append(str(error))

    threads = [threading.Thread(target=each) for each in (storage.close, late)]
    with storage.transaction():
        threads[0].start()
        while not storage._closed:
            os.sched_yield()
        threads[1].start()
    for thread in threads:
        thread.join()
    assert told == ["the storage is closed"]


class Unfit(sqlite3.Connection):
    """Can't be set up."""

    def execute(self, sql, parameters=(), /):
        if "secure_delete" in sql:
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, parameters)


class UnfitStorage(SqliteStorage):
    """Writes through `Unfit` connections, and remembers them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.made: list[sqlite3.Connection] = []

    def _connect(self, mode: str) -> sqlite3.Connection:
        self.made.append(sqlite3.connect(self.path, factory=Unfit, isolation_level=None))
        return self.made[-1]


def test_a_connection_that_can_not_be_set_up_is_closed(tmp_path: Path) -> None:
    storage = UnfitStorage(tmp_path / "gatebook.db")
    storage.prepare()
    with pytest.raises(Lost, match="disk I/O"):
        write(storage)
    (connection,) = storage.made
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.in_transaction  # noqa: B018 - asks whether it is open
    storage.close()


def test_a_reader_is_less_patient_than_the_writer(storage: SqliteStorage) -> None:
    read(storage)
    (((reading,),), ((writing,),)) = (
        storage.look_up("PRAGMA busy_timeout", ()),
        storage._writer.execute("PRAGMA busy_timeout").fetchall(),
    )
    assert (reading, writing) == (READ_PATIENCE * 1000, LOCK_DEADLINE * 1000)


def test_memory_that_is_lent_for_long_work_is_given_back(storage: SqliteStorage) -> None:
    def kept() -> list[int]:
        read(storage)
        connections = (storage._writer, storage._local.reader._connection)
        return [each.execute("PRAGMA cache_size").fetchone()[0] for each in connections]

    usual = kept()
    with storage.roomy():
        assert all(now < before < 0 for now, before in zip(kept(), usual, strict=True))
    assert kept() == usual
    storage.close()
    with storage.roomy():
        pass
    with pytest.raises(Lost):
        write(storage)
