"""Readiness: what is looked at, how often, and by which thread."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from app import readiness as readiness_module
from app.clock import now
from app.readiness import SHARED_FOR, Check, Readiness, store_checks
from app.store import open_store
from app.tokens.key_ring import KeyRing
from app.vault import Vault
from domain.policy import CLOCK_TOLERANCE, SECOND
from projections.rows_sqlite import SqliteRows
from projections.storage_sqlite import SqliteStorage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.store import Store


class Watched(SqliteStorage):
    """Remembers which threads wrote, and lets them begin when `gate` is open."""

    def __init__(self, path: Path, ahead: float = 0) -> None:
        super().__init__(path, clock=lambda: time.time() + self.ahead)
        self.ahead = ahead
        self.threads: list[str] = []
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    @contextmanager
    def transaction(self) -> Iterator[SqliteRows]:
        self.threads.append(threading.current_thread().name)
        self.begun.set()
        assert self.gate.wait(30)
        with super().transaction() as rows:
            yield rows


@pytest.fixture
def storage(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "gatebook.db")


@pytest.fixture
def store(storage: Watched) -> Iterator[Store]:
    store = open_store(storage, Vault(bytes(32)), "ES256")
    storage.threads.clear()
    storage.begun.clear()
    yield store
    storage.gate.set()
    storage.close()


class Looking:
    """Readiness with a clock for what is shared."""

    def __init__(self, store: Store) -> None:
        self.time = 0.0
        self.stopping = asyncio.Event()
        self.readiness = Readiness(store, KeyRing(store), self.stopping, now, lambda: self.time)


@pytest.fixture
def looking(store: Store) -> Iterator[Looking]:
    looking = Looking(store)
    yield looking
    looking.readiness.close()


def names(found: list[Check]) -> list[str]:
    return [check.name for check in found]


def test_many_who_ask_share_one_look(looking: Looking, storage: Watched) -> None:
    async def ask() -> list[list[Check]]:
        found = list(await asyncio.gather(*(looking.readiness.checks() for _ in range(64))))
        looking.time += SHARED_FOR / 2
        return [*found, await looking.readiness.checks()]

    found = asyncio.run(ask())
    assert all(names(each) == ["store", "views", "clock", "keys"] for each in found)
    assert all(check.ok for each in found for check in each)
    assert len(storage.threads) == 1


def test_what_was_found_grows_old(looking: Looking, storage: Watched) -> None:
    async def ask() -> None:
        await looking.readiness.checks()
        looking.time += SHARED_FOR
        await looking.readiness.checks()

    asyncio.run(ask())
    assert len(storage.threads) == 2


def test_that_the_service_stops_is_told_at_once(looking: Looking) -> None:
    async def ask() -> list[Check]:
        await looking.readiness.checks()
        looking.stopping.set()
        return await looking.readiness.checks()

    assert Check("serving", ok=False, detail="the service is stopping") in asyncio.run(ask())


def test_a_look_that_hangs_is_the_only_one_and_keeps_no_other_thread_busy(
    looking: Looking, storage: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness_module, "ANSWER_WITHIN", 0.05)
    late = Check("store", ok=False, detail="did not answer in time")

    async def ask() -> None:
        storage.gate.clear()
        first = await asyncio.gather(*(looking.readiness.checks() for _ in range(64)))
        assert all(each[0] == late for each in first)
        await asyncio.to_thread(storage.begun.wait, 30)
        looking.time += 10  # however long it takes
        assert (await looking.readiness.checks())[0] == late
        assert storage.threads == ["gatebook-readiness_0"]
        storage.gate.set()
        assert looking.readiness._look is not None
        await looking.readiness._look
        assert all(check.ok for check in await looking.readiness.checks())
        assert len(storage.threads) == 1

    asyncio.run(ask())


def test_the_end_waits_for_no_look(looking: Looking, storage: Watched) -> None:
    async def ask() -> None:
        storage.gate.clear()
        asking = asyncio.create_task(looking.readiness.checks())
        await asyncio.to_thread(storage.begun.wait, 30)
        looking.readiness.close()
        storage.gate.set()
        assert names(await asking) == ["store", "views", "clock", "keys"]

    asyncio.run(ask())


@pytest.mark.parametrize(("ahead", "ok"), [(-86_400, True), (0, True), (50, True), (70, False)])
def test_a_log_that_lies_ahead_of_the_clock_is_told(tmp_path: Path, ahead: int, ok: bool) -> None:
    storage = Watched(tmp_path / "gatebook.db", ahead)
    store = open_store(storage, Vault(bytes(32)), "ES256")
    storage.ahead = 0  # and then the clock was set right
    found = {check.name: check for check in store_checks(store, now())}
    storage.close()
    assert found["store"].ok
    assert found["clock"].ok is ok
    if not ok:
        assert found["clock"].detail.startswith("the log's last event lies ")
        assert found["clock"].detail.endswith(" s ahead of this clock")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_store_whose_clock_is_another_is_told(store: Store, storage: Watched, sign: int) -> None:
    storage.ahead = sign * (CLOCK_TOLERANCE / SECOND + 10)
    (clock,) = [check for check in store_checks(store, now()) if check.name == "clock"]
    assert not clock.ok
    assert clock.detail.endswith(" s apart")
