"""The write-ahead log is brought into the file while nobody writes, not by whoever writes next."""

from __future__ import annotations

import asyncio
import fcntl
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


def test_an_open_read_sees_its_moment_and_holds_up_nobody(storage: SqliteStorage) -> None:
    write(storage, UNTIDY)
    with storage.snapshot() as rows:
        assert rows.fetch("SELECT count(*) FROM kept") == [(UNTIDY,)]
        write(storage, UNTIDY)
        storage.tidy()
        assert rows.fetch("SELECT count(*) FROM kept") == [(UNTIDY,)]
    write(storage, UNTIDY)
    storage.tidy()
    assert in_the_file(storage) == 3 * UNTIDY


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


def test_a_file_that_fails_raises_nothing(storage: SqliteStorage) -> None:
    write(storage, UNTIDY)
    storage._writer.close()
    storage.tidy()
    storage.discard()
    write(storage, UNTIDY)
    storage.tidy()
    assert in_the_file(storage) == 2 * UNTIDY


def test_a_closed_storage_is_left_alone(storage: SqliteStorage) -> None:
    write(storage, UNTIDY)
    storage.close()
    storage.tidy()


class Tidied:
    """A writer that does nothing, and what it is called in which order."""

    def __init__(self) -> None:
        self.calls: list[int | str] = []
        self.tidied = threading.Semaphore(0)

    def commit(self, batch: Sequence[Wish]) -> list[Answer]:
        self.calls.append(len(batch))
        return [() for _ in batch]

    def tidy(self) -> None:
        self.calls.append("tidied")
        self.tidied.release()


def test_the_writer_tidies_up_after_few_commands_and_not_after_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatcher_module, "PAUSE", 0.0)
    writer = Tidied()

    async def commands(dispatcher: Dispatcher, count: int) -> None:
        wish = register("ada")
        await asyncio.gather(*(dispatcher.dispatch(wish.command, wish.meta) for _ in range(count)))

    async def scenario() -> None:
        dispatcher = Dispatcher(writer.commit, writer.tidy)
        dispatcher.start()
        await commands(dispatcher, MANY)
        await commands(dispatcher, 1)
        assert await asyncio.to_thread(writer.tidied.acquire, timeout=30)
        await commands(dispatcher, 1)
        assert await asyncio.to_thread(writer.tidied.acquire, timeout=30)
        await dispatcher.stop()

    asyncio.run(scenario())
    assert writer.calls == [MANY, 1, "tidied", 1, "tidied"]
