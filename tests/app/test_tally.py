"""The counts of events, on each kind of store: each event is counted once, and only once looked at.

Nothing else is written meanwhile than what a test writes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.eventstore.schema import NAME_LOG
from app.store import Store, open_store, storage_of
from app.tally import FRESH, Tallied, Tally, further
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from projections.live import newest
from projections.registry import PROJECTIONS
from tests.app.test_revocation_feed import Watched
from tests.store.wishing import commit, log_in, register

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGUN = {"log.opened": 1, "signing_key.added": 1, "signing_key.activated": 1}


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    storage = storage_of(database_url)
    yield open_store(storage, Vault(bytes(range(32))), "ES256")
    storage.close()


@pytest.fixture
def writer(store: Store) -> Writer:
    return Writer(store.log, store.vault, store.ring, Policy())


def look(store: Store, known: Tallied | None = None, span: int = 1000) -> Tallied:
    with store.storage.snapshot() as rows:
        return further(rows, known or Tallied(), 0, span)


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
    whole, known, looks = look(store), Tallied(), 0
    while not known.is_whole or not looks:
        known = look(store, known, span)
        looks += 1
        assert sum(known.counts.values()) == known.position
    assert known == whole
    assert looks == -(-whole.head // span)


def test_only_what_is_new_is_looked_at(store: Store, writer: Writer) -> None:
    known = look(store)
    told = Tallied(known.log_id, known.position, known.head, {"user.registered": 40})
    commit(writer, [register("ada")])
    assert look(store, told).counts == {"user.registered": 41}


def test_another_log_is_counted_from_its_beginning(store: Store) -> None:
    known = look(store)
    with store.storage.transaction() as rows:
        rows.execute(NAME_LOG, ("another",))
        rows.commit()
    assert look(store, known) == Tallied("another", 3, 3, BEGUN, known.views)


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
