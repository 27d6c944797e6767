"""A running service finishes erasures: it tries, it gives up for now, it goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from app.deadline import begin
from app.erasing import Erasing, unfinished
from app.store import Store, open_store, storage_of
from app.vault import Vault
from app.writer import Wish, Writer
from domain.commands import EraseUser
from domain.policy import Policy
from projections.storage_sqlite import SqliteStorage
from tests.store.wishing import commit, meta, register, user_key
from tests.waiting import LONGEST

if TYPE_CHECKING:
    from collections.abc import Iterator

ADA, BOB = user_key("ada"), user_key("bob")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = open_store(storage_of(database_url), Vault(bytes(range(32))), "ES256")
    yield store
    store.storage.close()


@pytest.fixture
def writer(store: Store) -> Writer:
    writer = Writer(store.log, store.vault, store.ring, Policy())
    commit(writer, [register("ada"), register("bob")])
    return writer


def erase(writer: Writer, *who: str) -> None:
    commit(writer, [Wish(EraseUser(user_key(each)), meta()) for each in who])


def test_an_erasure_is_finished_for_whoever_asks(store: Store, writer: Writer) -> None:
    erase(writer, "ada", "bob")

    async def ask() -> tuple[bool, bool]:
        erasing = Erasing(store.storage)
        try:
            one, other = await asyncio.gather(erasing.is_finished(ADA), erasing.is_finished(BOB))
            return one, other
        finally:
            erasing.close()

    assert asyncio.run(ask()) == (True, True)
    assert unfinished(store.storage) == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nobody_waits_longer_for_it_than_his_request_may(
    store: Store, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Security rule 27: the commit before may have taken nearly all of it."""
    monkeypatch.setattr("app.erasing.ANSWER_WITHIN", LONGEST)
    monkeypatch.setattr("app.deadline.WITHIN", 0.0)
    reading = SqliteStorage(store.storage.path)  # type: ignore[attr-defined]
    erase(writer, "ada")

    async def ask() -> bool:
        begin()
        erasing = Erasing(store.storage)
        try:
            return await erasing.is_finished(ADA)
        finally:
            erasing.close()

    with reading.snapshot() as rows:
        rows.fetch("SELECT count(*) FROM events")
        assert not asyncio.run(ask())
    reading.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_read_that_ends_soon_is_waited_for(store: Store, writer: Writer) -> None:
    reading = SqliteStorage(store.storage.path)  # type: ignore[attr-defined]
    erase(writer, "ada")
    tries = 0

    async def pause(_: float) -> None:
        nonlocal tries
        tries += 1
        if tries == 2:
            open_read.__exit__(None, None, None)

    async def ask() -> bool:
        erasing = Erasing(store.storage, sleep=pause)
        try:
            return await erasing.is_finished(ADA)
        finally:
            erasing.close()

    open_read = reading.snapshot()
    open_read.__enter__().fetch("SELECT count(*) FROM events")
    assert asyncio.run(ask())
    assert tries == 2
    reading.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_isnt_finished_goes_on_and_is_told_once(store: Store, writer: Writer) -> None:
    reading = SqliteStorage(Path(store.storage.path))  # type: ignore[attr-defined]
    erase(writer, "ada")

    async def go_on() -> None:
        erasing = Erasing(store.storage)
        with reading.snapshot() as rows:
            rows.fetch("SELECT count(*) FROM events")
            for _ in range(3):
                await erasing.go_on()
        for _ in range(3):
            await erasing.go_on()
        erasing.close()

    with capture_logs() as lines:
        asyncio.run(go_on())
    assert [(each["event"], each["users"]) for each in lines] == [
        ("erasures_go_on", 1),
        ("erasures_finished", 0),
    ]
    assert unfinished(store.storage) == {}
    reading.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_store_that_is_away_is_no_fault_of_whoever_asks(store: Store, writer: Writer) -> None:
    erase(writer, "ada")
    store.storage.close()

    async def ask() -> bool:
        erasing = Erasing(store.storage)
        try:
            await erasing.go_on()
            return await erasing.is_finished(ADA)
        finally:
            erasing.close()

    with capture_logs() as lines:
        assert not asyncio.run(ask())
    assert [each["event"] for each in lines] == ["erasures_not_finished", "erasure_not_finished"]
