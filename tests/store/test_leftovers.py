"""Tables that nothing names any more are dropped by whoever looks next, and nobody waits."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, cast

import pytest

from app.rebuilding import Rebuilding, rebuild_of
from projections.leftovers import DROPPED, leftovers, sweep
from projections.live import read_pointers
from projections.rebuild import Gone, Swapped
from projections.rebuild_state import cancel
from projections.registry import PROJECTIONS
from tests.store.intruding import intrude
from tests.store.wishing import log_in, register

if TYPE_CHECKING:
    from app.store import Store
    from app.writer import Writer
    from projections.rebuild_state import State
    from projections.storage import Storage

PATIENCE_S = 60  # only ever spent when a test fails


def left(store: Store) -> list[str]:
    with store.storage.snapshot() as rows:
        return leftovers(rows, store.storage.kind, PROJECTIONS)


def rebuilt(store: Store, name: str) -> object:
    rebuild = rebuild_of(store.storage)
    return rebuild.run(rebuild.begin(name))


def test_what_a_swap_leaves_is_dropped_and_nothing_else(store: Store, writer: Writer) -> None:
    writer.commit([register("ada"), log_in("ada", "a")])
    assert left(store) == []
    for _ in range(2):
        assert isinstance(rebuilt(store, "token_lookup"), Swapped)
    rebuilt(store, "daily_activity")
    assert left(store) == ["daily_activity_v1", "token_lookup_r1_v1", "token_lookup_v1"]
    with store.storage.snapshot() as rows:
        live = [each.table for each in read_pointers(rows).values()]
    sweep(store.storage, PROJECTIONS)
    assert left(store) == []
    with store.storage.transaction() as rows:
        assert all(rows.has_table(table) for table in live)
        assert not rows.has_table("token_lookup_v1")


def test_a_table_that_is_being_filled_is_not_left_over(store: Store, writer: Writer) -> None:
    writer.commit([register("ada"), log_in("ada", "a")])
    seen: list[list[str]] = []

    def told(state: State, _: int) -> None:
        seen.append(left(store))
        cancel(store.storage, state.name)
        seen.append(left(store))

    rebuild = rebuild_of(store.storage, told=told)
    with pytest.raises(Gone):
        rebuild.run(rebuild.begin("token_lookup"))
    assert seen[:2] == [[], ["token_lookup_r1_v1"]]


def test_a_view_without_a_pointer_keeps_its_tables(store: Store) -> None:
    """Which of them is the live one, nobody can tell."""
    with store.storage.transaction() as rows:
        rows.execute("DELETE FROM views WHERE name = 'token_lookup'")
        rows.commit()
    assert left(store) == []


def test_dropping_can_be_broken_off_and_is_finished_by_the_next(
    store: Store, database_url: str
) -> None:
    rebuilt(store, "daily_activity")
    fill(database_url, 3 * DROPPED)
    asked = 0

    def going_on() -> None:
        nonlocal asked
        asked += 1
        if asked > 1 or store.storage.kind == "postgresql":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(store.storage, PROJECTIONS, going_on)
    assert left(store) == ["daily_activity_v1"]
    if store.storage.kind == "sqlite":
        with store.storage.snapshot() as rows:
            assert rows.fetch("SELECT count(*) FROM daily_activity_v1") == [(2 * DROPPED,)]
    sweep(store.storage, PROJECTIONS)
    assert left(store) == []


def test_a_service_finishes_what_another_left(store: Store, database_url: str) -> None:
    rebuilt(store, "daily_activity")
    fill(database_url, 2 * DROPPED)

    async def serve() -> None:
        rebuilding = Rebuilding(store.storage, owned=False)
        await rebuilding.tend()
        end = time.monotonic() + PATIENCE_S
        while await asyncio.to_thread(left, store):
            assert time.monotonic() < end
        await rebuilding.close()

    asyncio.run(serve())


def test_neither_who_cancels_nor_who_stops_waits_for_a_table_to_go(
    store: Store, writer: Writer
) -> None:
    writer.commit([register("ada")])
    rebuilt(store, "token_lookup")
    rebuilt(store, "user_directory")
    rebuild_of(store.storage).begin("revocations")
    slow = Slow(store.storage)

    async def serve() -> None:
        rebuilding = Rebuilding(cast("Storage", slow), owned=False)
        await rebuilding.cancel("revocations")
        assert await asyncio.to_thread(slow.begun.wait, PATIENCE_S)
        closing = asyncio.create_task(rebuilding.close())
        await asyncio.sleep(0)
        slow.go_on.set()
        await closing

    asyncio.run(serve())
    assert slow.dropped == ["token_lookup_v1"], "what comes after it is for another time"
    assert left(store) == ["user_directory_v1"]


class Slow:
    """A storage that drops nothing before it is told to."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.dropped: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._storage, name)

    def drop(self, table: str) -> None:
        self.begun.set()
        assert self.go_on.wait(PATIENCE_S)
        self._storage.drop(table)
        self.dropped.append(table)


def fill(url: str, rows: int) -> None:
    """Make a table that nothing names a long one."""
    with intrude(url) as intruder:
        columns = "day, registrations, logins, failed_logins, uses, revocations"
        for number in range(rows):
            intruder.run(f"INSERT INTO daily_activity_v1 ({columns}) VALUES (?, 0, 0, 0, 0, 0)",
                         (number,))  # fmt: skip
