"""The write-ahead log is brought into the file while nobody writes, not by whoever writes next."""

from __future__ import annotations

import asyncio
import fcntl
import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest

from app import dispatcher as dispatcher_module
from app.dispatcher import MANY, Dispatcher
from projections.storage_sqlite import UNTIDY, SqliteStorage
from tests.store.wishing import register

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from app.writer import Answer, Wish

MARK = "a mark that is written once"


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SqliteStorage]:
    storage = SqliteStorage(tmp_path / "gatebook.db")
    storage.prepare()
    with storage.transaction() as rows:
        rows.define("CREATE TABLE kept (word TEXT)")
        rows.commit()
    storage.checkpoint()
    yield storage
    storage.close()


def write(storage: SqliteStorage, count: int) -> None:
    with storage.transaction() as rows:
        for _ in range(count):
            rows.execute("INSERT INTO kept VALUES (?)", (MARK,))
        rows.commit()


def in_the_file(storage: SqliteStorage) -> int:
    return storage.path.read_bytes().count(MARK.encode())


def test_what_was_written_is_brought_into_the_file(storage: SqliteStorage) -> None:
    write(storage, UNTIDY)
    assert in_the_file(storage) == 0
    storage.tidy()
    assert in_the_file(storage) == UNTIDY


def test_a_little_is_left_until_there_is_more(storage: SqliteStorage) -> None:
    write(storage, UNTIDY - 1)
    storage.tidy()
    assert in_the_file(storage) == 0
    write(storage, 1)
    storage.tidy()
    assert in_the_file(storage) == UNTIDY
    write(storage, 1)
    storage.tidy()
    assert in_the_file(storage) == UNTIDY


def test_an_open_read_sees_its_moment_and_is_not_waited_for(storage: SqliteStorage) -> None:
    write(storage, UNTIDY)
    statements: list[str] = []
    with storage.snapshot() as rows:
        assert rows.fetch("SELECT count(*) FROM kept") == [(UNTIDY,)]
        write(storage, UNTIDY)
        storage._writer.set_trace_callback(statements.append)
        storage.tidy()
        assert rows.fetch("SELECT count(*) FROM kept") == [(UNTIDY,)]
    assert statements == ["PRAGMA wal_checkpoint(PASSIVE)"]
    write(storage, UNTIDY)
    storage.tidy()
    assert in_the_file(storage) == 3 * UNTIDY


def test_another_thread_that_writes_is_not_waited_for(storage: SqliteStorage) -> None:
    write(storage, UNTIDY)
    tidying = threading.Thread(target=storage.tidy)
    with storage.transaction():
        tidying.start()
        tidying.join(30)
        assert not tidying.is_alive()
    assert in_the_file(storage) == 0


def test_another_process_that_writes_is_not_waited_for(
    storage: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(storage, UNTIDY)
    pauses: list[float] = []
    monkeypatch.setattr(storage, "_sleep", pauses.append)
    with storage.path.with_name("gatebook.db.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        storage.tidy()
    assert in_the_file(storage) == 0
    assert len(pauses) <= 1
    storage.tidy()
    assert in_the_file(storage) == UNTIDY


def test_a_file_that_fails_raises_nothing_and_is_not_tried_again_at_once(
    storage: SqliteStorage,
) -> None:
    write(storage, UNTIDY)
    tried: list[str] = []

    def refuse(action: int, what: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_PRAGMA and what == "wal_checkpoint":
            tried.append(what)
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    storage._writer.set_authorizer(refuse)
    storage.tidy()
    storage.tidy()
    assert tried == ["wal_checkpoint"]
    storage._writer.set_authorizer(None)
    write(storage, UNTIDY)
    storage.tidy()
    assert in_the_file(storage) == 2 * UNTIDY


def test_a_storage_that_is_closed_meanwhile_is_left_alone(storage: SqliteStorage) -> None:
    write(storage, UNTIDY)
    storage._closed = True
    storage.tidy()
    assert in_the_file(storage) == 0
    storage.close()
    storage.tidy()


class Tidied:
    """A writer that does nothing, and what it is called in which order."""

    def __init__(self) -> None:
        self.calls: list[int | str] = []
        self.tidied = threading.Semaphore(0)
        self.fault: Exception | None = None

    def commit(self, batch: Sequence[Wish]) -> list[Answer]:
        self.calls.append(len(batch))
        return [() for _ in batch]

    def tidy(self) -> None:
        self.calls.append("tidied")
        self.tidied.release()
        if self.fault is not None:
            raise self.fault


async def commands(dispatcher: Dispatcher, count: int) -> None:
    wish = register("ada")
    await asyncio.gather(*(dispatcher.dispatch(wish.command, wish.meta) for _ in range(count)))


@pytest.mark.parametrize("fault", [None, OSError()])
def test_the_writer_tidies_up_when_nothing_comes_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, fault: Exception | None
) -> None:
    monkeypatch.setattr(dispatcher_module, "PAUSE", 0.0)
    monkeypatch.setattr(dispatcher_module, "PAUSE_OF_MANY", 0.0)
    writer = Tidied()
    writer.fault = fault

    async def scenario() -> None:
        dispatcher = Dispatcher(writer.commit, writer.tidy)
        dispatcher.start()
        for count in (1, MANY, 1):
            await commands(dispatcher, count)
            assert await asyncio.to_thread(writer.tidied.acquire, timeout=30)
        await dispatcher.stop()

    asyncio.run(scenario())
    assert writer.calls == [1, "tidied", MANY, "tidied", 1, "tidied"]


@pytest.mark.parametrize(("first", "pause"), [(1, "PAUSE"), (MANY, "PAUSE_OF_MANY")])
def test_a_command_that_comes_within_the_pause_goes_first(
    monkeypatch: pytest.MonkeyPatch, first: int, pause: str
) -> None:
    for each in ("PAUSE", "PAUSE_OF_MANY"):
        monkeypatch.setattr(dispatcher_module, each, 30.0 if each == pause else 0.0)
    writer = Tidied()

    async def scenario() -> None:
        dispatcher = Dispatcher(writer.commit, writer.tidy)
        dispatcher.start()
        await commands(dispatcher, first)
        await commands(dispatcher, first)
        await dispatcher.stop()

    asyncio.run(scenario())
    assert writer.calls == [first, first]
