"""Changing the master key: broken off, gone on with beside work, and the old one dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app import rewrapping
from app.rewrapping import rewrap
from app.store import UnusableStore, open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from tests.store.wishing import commit, log_in, register, user_key

if TYPE_CHECKING:
    from app.store import Store

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
PEOPLE = [f"person-{number}" for number in range(25)]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrapping, "BATCH", 7)


def opened(url: str, vault: Vault) -> Store:
    return open_store(storage_of(url), vault, "ES256")


def masters(store: Store) -> set[str]:
    with store.storage.snapshot() as rows:
        return {
            str(master_id)
            for table in ("ring_keys", "user_keys")
            for (master_id,) in rows.fetch(f"SELECT DISTINCT master_id FROM {table}")
        }


def test_afterwards_the_old_master_key_opens_nothing_and_the_log_is_as_it_was(
    database_url: str,
) -> None:
    store = opened(database_url, Vault(OLD))
    writer = Writer(store.log, store.vault, store.ring, Policy())
    commit(writer, [register(each) for each in PEOPLE])
    with store.storage.snapshot() as rows:
        log = rows.fetch("SELECT * FROM events ORDER BY position")
    store.storage.close()
    both = opened(database_url, Vault(NEW, OLD))
    told: list[int] = []
    count = rewrap(both.storage, both.vault, told.append)
    assert count == sum(told) == len(PEOPLE) * 2 + 5
    assert masters(both) == {both.vault.master_id}
    assert rewrap(both.storage, both.vault, told.append) == 0
    both.storage.close()
    storage = storage_of(database_url)
    with pytest.raises(UnusableStore, match="master key"):
        open_store(storage, Vault(OLD), "ES256")
    storage.close()
    new = opened(database_url, Vault(NEW))
    commit(Writer(new.log, new.vault, new.ring, Policy()), [log_in(PEOPLE[0], "one")])
    with new.storage.snapshot() as rows:
        assert rows.fetch("SELECT * FROM events ORDER BY position")[: len(log)] == log
    new.storage.close()


def test_it_goes_on_where_it_was_broken_off_and_beside_work(database_url: str) -> None:
    store = opened(database_url, Vault(OLD))
    commit(
        Writer(store.log, store.vault, store.ring, Policy()), [register(each) for each in PEOPLE]
    )
    store.storage.close()
    both = opened(database_url, Vault(NEW, OLD))
    writer = Writer(both.log, both.vault, both.ring, Policy())

    def broken_off(some: int) -> None:
        commit(writer, [log_in(PEOPLE[-1], f"{some} {len(told)}")])
        told.append(some)
        if len(told) == 3:
            raise KeyboardInterrupt

    told: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        rewrap(both.storage, both.vault, broken_off)
    assert len(masters(both)) == 2
    commit(writer, [register("newcomer"), log_in(PEOPLE[0], "between")])
    assert rewrap(both.storage, both.vault, told.append) > 0
    assert masters(both) == {both.vault.master_id}
    commit(writer, [log_in(each, "after") for each in [*PEOPLE, "newcomer"]])
    with both.storage.snapshot() as rows:
        counted = rows.fetch(
            "SELECT count(*) FROM token_lookup_v1 WHERE user_key = ?", (user_key(PEOPLE[0]),)
        )
    assert counted == [(2,)]
    both.storage.close()
