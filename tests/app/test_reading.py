"""Reads beside the event loop: bounded in number and in time, and the store's faults told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import reading
from app.reading import MAX_WAITING, Reading
from app.store import open_store, storage_of
from app.vault import Vault
from domain.errors import NotFound, Overloaded, Unavailable
from projections.storage import Rows, Storage

COUNT = "SELECT count(*) FROM events"


@pytest.fixture
def storage(database_url: str) -> Iterator[Storage]:
    storage = storage_of(database_url)
    open_store(storage, Vault(bytes(range(32))), "ES256")
    yield storage
    storage.close()


def count(rows: Rows) -> int:
    return int(rows.fetch(COUNT)[0][0] or 0)


def refuse(rows: Rows) -> None:
    raise NotFound("There is no such thing.")


def test_a_read_sees_the_store_and_raises_what_its_work_raises(storage: Storage) -> None:
    async def read() -> int:
        reader = Reading(storage, owned=False)
        with pytest.raises(NotFound, match="no such thing"):
            await reader.read(refuse)
        found = await reader.read(count)
        reader.close()
        return found

    assert asyncio.run(read()) > 0


def test_more_than_may_wait_are_refused_at_once(storage: Storage) -> None:
    released = threading.Event()

    def wait(rows: Rows) -> int:
        released.wait()
        return count(rows)

    async def read() -> list[int]:
        reader = Reading(storage, owned=False)
        waiting = [asyncio.create_task(reader.read(wait)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await reader.read(count)
        released.set()
        found = await asyncio.gather(*waiting)
        assert await reader.read(count) == found[0]  # and there is room again
        reader.close()
        return found

    assert len(set(asyncio.run(read()))) == 1


def test_a_read_that_takes_too_long_is_given_up_and_counts_until_it_ends(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    ended = threading.Event()

    def wait(rows: Rows) -> None:
        released.wait()

    async def read() -> None:
        reader = Reading(storage, owned=False)
        monkeypatch.setattr(reading, "ANSWER_WITHIN", 0.01)
        with pytest.raises(Unavailable):
            await reader.read(wait)
        monkeypatch.undo()
        released.set()
        assert await reader.read(count) > 0  # the thread is free again
        reader.close()
        ended.set()

    asyncio.run(read())
    assert ended.is_set()


def test_a_store_that_is_away_is_told(tmp_path: Path) -> None:
    async def read() -> None:
        reader = Reading(storage_of(f"sqlite:///{tmp_path}/nowhere/x.db"), owned=True)
        with pytest.raises(Unavailable):
            await reader.read(count)
        reader.close()

    asyncio.run(read())


def test_what_it_owns_it_closes(database_url: str) -> None:
    storage = storage_of(database_url)
    open_store(storage, Vault(bytes(range(32))), "ES256")
    closed: list[bool] = []
    close = storage.close

    async def read() -> None:
        reader = Reading(storage, owned=True)
        await reader.read(count)
        storage.close = lambda: closed.append(True)  # type: ignore[method-assign]
        reader.close()

    asyncio.run(read())
    close()
    assert closed == [True]
