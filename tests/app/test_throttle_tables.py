"""The tables of budgets: known networks as logins leave them, and how they come into old stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.additions import ADDITIONS
from app.known_networks import FORGET_NETWORKS, KEPT, KNOWN_FOR, Network
from app.store import UnusableStore, open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.policy import DAY, Policy
from projections.user_directory import CREDENTIAL_BY_KEY, KNOWN_NETWORK, CredentialRow
from tests.store.intruding import intrude
from tests.store.wishing import register, user_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.store import Store

ADA, BEN = user_key("ada"), user_key("ben")
NOW = 100 * DAY
INDEX = "user_directory_v1_administrators"


def opened(url: str) -> Store:
    return open_store(storage_of(url), Vault(bytes(range(32))), "ES256")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = opened(database_url)
    yield store
    store.storage.close()


def log_in(store: Store, who: str, mac: bytes, now: int, last_at: int | None = None) -> None:
    """What a login from a network writes."""
    with store.storage.transaction() as rows:
        for sql, params in Network(mac, last_at).logged_in(who, now):
            rows.execute(sql, params)
        rows.commit()


def known(store: Store, who: str) -> dict[bytes, int]:
    with store.storage.snapshot() as rows:
        sql = "SELECT network_mac, last_at FROM known_networks WHERE user_key = ?"
        return dict(rows.fetch(sql, (who,)))  # type: ignore[arg-type]


def test_a_login_notes_its_network_and_a_later_one_the_time(store: Store) -> None:
    log_in(store, ADA, b"home", NOW)
    log_in(store, ADA, b"work", NOW + 1)
    log_in(store, BEN, b"home", NOW + 2)
    log_in(store, ADA, b"home", NOW + DAY, NOW)
    assert known(store, ADA) == {b"home": NOW + DAY, b"work": NOW + 1}
    assert known(store, BEN) == {b"home": NOW + 2}


def test_the_newest_networks_of_a_user_are_kept(store: Store) -> None:
    log_in(store, BEN, b"home", NOW)
    for number in range(KEPT + 3):
        log_in(store, ADA, b"%d" % number, NOW + number)
    assert set(known(store, ADA)) == {b"%d" % number for number in range(3, KEPT + 3)}
    assert set(known(store, BEN)) == {b"home"}


def test_a_network_of_more_than_30_days_ago_goes_with_the_next_login(store: Store) -> None:
    log_in(store, ADA, b"old", NOW)
    log_in(store, ADA, b"older", NOW - 1)
    log_in(store, ADA, b"new", NOW + KNOWN_FOR)
    assert set(known(store, ADA)) == {b"old", b"new"}


def test_a_user_s_networks_are_forgotten_together(store: Store) -> None:
    for who in (ADA, BEN):
        log_in(store, who, b"home", NOW)
    with store.storage.transaction() as rows:
        rows.execute(FORGET_NETWORKS, (ADA,))
        rows.commit()
    assert known(store, ADA) == {}
    assert known(store, BEN)


def test_a_login_reads_whether_the_network_is_known_with_the_credential(store: Store) -> None:
    Writer(store.log, store.vault, store.ring, Policy()).commit([register("ada")])
    log_in(store, ADA, b"home", NOW)
    with store.storage.snapshot() as rows:
        found = [
            CredentialRow.of(*rows.fetch(CREDENTIAL_BY_KEY, (mac, ADA)))
            for mac in (b"home", b"elsewhere")
        ]
        assert [row.network_last_at for row in found] == [NOW, None]
        assert rows.fetch(CREDENTIAL_BY_KEY, (b"home", BEN))[0][0] != BEN
        assert rows.fetch(KNOWN_NETWORK, (b"home", ADA))[0][0] == NOW
        assert rows.fetch(KNOWN_NETWORK, (b"home", BEN))[0][0] is None


def made(url: str) -> set[tuple[object, ...]]:
    """Every table and index with what the database numbers it by."""
    with intrude(url) as intruder:
        if url.startswith("sqlite"):
            return {*intruder.run("SELECT name, rootpage FROM sqlite_master")}
        sql = "SELECT relname, oid FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        return {*intruder.run(sql)}


def names(url: str) -> set[object]:
    return {name for name, *_ in made(url)}


def as_it_was(url: str) -> None:
    """Undo what was added to the first stores."""
    with intrude(url) as intruder:
        intruder.run("DROP TABLE known_networks")
        intruder.run(f"DROP INDEX {INDEX}")
        if not url.startswith("sqlite"):
            intruder.run("DROP TABLE budgets")


def test_what_came_later_comes_into_an_old_store_once(store: Store, database_url: str) -> None:
    new = names(database_url)
    as_it_was(database_url)
    assert names(database_url) < new
    for _ in range(2):
        again = opened(database_url)
        log_in(again, ADA, b"home", NOW)
        again.storage.close()
    found = made(database_url)
    assert {name for name, *_ in found} == new
    assert {INDEX, *(each.table for each in ADDITIONS)} <= new
    opened(database_url).storage.close()
    assert made(database_url) == found


def test_budgets_have_a_table_where_processes_share_them(store: Store, database_url: str) -> None:
    assert ("budgets" in names(database_url)) is (store.storage.kind == "postgresql")


def test_nothing_is_added_to_a_store_of_a_newer_release(store: Store, database_url: str) -> None:
    as_it_was(database_url)
    with intrude(database_url) as intruder:
        intruder.run("UPDATE store SET format = 2")
    before = made(database_url)
    with pytest.raises(UnusableStore):
        open_store(store.storage, store.vault, "ES256")
    assert made(database_url) == before
