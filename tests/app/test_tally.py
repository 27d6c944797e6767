"""The counts of events, on each kind of store: each event is counted once, and only once looked at.

Nothing else is written meanwhile than what a test writes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.eventstore.schema import NAME_LOG
from app.store import Store, open_store, storage_of
from app.tally import FRESH, Counted, Tallied, Tally, further
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from projections.live import newest
from projections.registry import PROJECTIONS
from tests.app.test_revocation_feed import Watched
from tests.store.replacing import beside, copy, remove
from tests.store.wishing import commit, log_in, register

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEGUN = {"log.opened": 1, "signing_key.added": 1, "signing_key.activated": 1}


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    storage = storage_of(database_url)
    yield open_store(storage, Vault(bytes(range(32))), "ES256")
    storage.close()


@pytest.fixture
def writer(store: Store) -> Writer:
    return Writer(store.log, store.vault, store.ring, Policy())


def count(store: Store, known: Counted | None = None, span: int = 1000) -> Counted:
    with store.storage.snapshot() as rows:
        return further(rows, known or Counted(), 0, span)


def look(store: Store) -> Tallied:
    return count(store).told


def test_every_event_is_counted(store: Store, writer: Writer) -> None:
    assert look(store).counts == BEGUN
    commit(writer, [register("ada"), register("bob"), log_in("ada", "phone")])
    found = look(store)
    logins = {"user.logged_in": 1, "refresh_token.issued": 1}
    assert found.counts == {**BEGUN, "user.registered": 2, **logins}
    assert (found.position, found.head) == (7, 7)
    assert found.is_whole


@pytest.mark.parametrize("span", [1, 2, 3, 5, 100])
def test_in_parts_it_comes_to_the_same(store: Store, writer: Writer, span: int) -> None:
    commit(writer, [register("ada"), log_in("ada", "phone")])
    whole, known, looks = look(store), Counted(), 0
    while not known.told.is_whole or not looks:
        known = count(store, known, span)
        looks += 1
        assert sum(known.told.counts.values()) == known.told.position
    assert known.told == whole
    assert looks == -(-whole.head // span)


def test_only_what_is_new_is_looked_at(store: Store, writer: Writer) -> None:
    known, head = count(store)
    told = Tallied(known.log_id, known.position, known.head, {"user.registered": 40})
    commit(writer, [register("ada")])
    assert count(store, Counted(told, head)).told.counts == {"user.registered": 41}


def test_another_log_is_counted_from_its_beginning(store: Store) -> None:
    known = count(store)
    with store.storage.transaction() as rows:
        rows.execute(NAME_LOG, ("another",))
        rows.commit()
    assert count(store, known).told == Tallied("another", 3, 3, BEGUN, known.told.views)


@pytest.mark.parametrize("span", [1, 1000])
@pytest.mark.parametrize("later", [0, 2, 9])
def test_events_that_were_taken_back_are_counted_no_more(
    store: Store, writer: Writer, database_url: str, tmp_path: Path, later: int, span: int
) -> None:
    """By a fail-over: the log is called as before, and others came where they were."""
    commit(writer, [register("ada")])
    if store.storage.kind == "postgresql":
        store.storage.close()  # to be opened again by the next use
    url = beside(database_url, tmp_path, "behind")
    copy(database_url, url)
    behind = open_store(storage_of(url), Vault(bytes(range(32))), "ES256")
    try:
        commit(writer, [log_in("ada", "lost")])
        known = count(store)
        others = [register(f"other.{each}") for each in range(later)]
        commit(Writer(behind.log, behind.vault, behind.ring, Policy()), others)
        found = count(behind, known, span)
        while not found.told.is_whole:
            found = count(behind, found, span)
        assert known.told.counts["user.logged_in"] == 1
        assert found.told.counts == {**BEGUN, "user.registered": 1 + later}
    finally:
        behind.storage.close()
        remove(url)


def test_how_far_each_view_is_stands_beside_it(store: Store, writer: Writer) -> None:
    commit(writer, [register("ada")])
    lags = {each.name: (each.state, each.lag) for each in look(store).views}
    modes = {each.name: each.mode for each in newest(PROJECTIONS)}
    assert lags.keys() == modes.keys()
    for name, mode in modes.items():
        assert lags[name] == ("live", 0 if mode == "inline" else 4)


def test_whoever_asks_at_once_hears_the_same(database_url: str, store: Store) -> None:
    """However many look on, the store is asked seldom."""
    seconds = 0.0
    reading = Watched(database_url)
    tally = Tally(reading, lambda: 0, tick=lambda: seconds)

    async def ask(many: int) -> list[Tallied]:
        return await asyncio.gather(*(tally.now() for _ in range(many)))

    async def all_of_it() -> None:
        nonlocal seconds
        assert len({each.position for each in await ask(20)}) == 1
        assert reading.asked == 1
        seconds = FRESH
        await ask(20)
        assert reading.asked == 2
        reading.close()

    asyncio.run(all_of_it())
