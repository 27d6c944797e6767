"""Whom a look-up finds, and that it has as much to do where there is nobody."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from app.lookup import Lookup, lookup_of
from app.store import open_store, storage_of
from app.vault import RESERVE_NAME, Vault
from app.writer import Writer
from domain.policy import Policy
from projections.user_directory import CREDENTIAL_BY_KEY, CREDENTIAL_BY_NAME, CredentialRow
from tests.store.wishing import commit, register, user_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from app.store import Store
    from projections.storage import Row

NAMES = [f"user-{number}" for number in range(8)]
KEYS = sorted(map(user_key, NAMES))
FIRST, LAST = "uk_" + 26 * "0", "uk_7" + 25 * "z"


@pytest.fixture
def empty(database_url: str) -> Iterator[Store]:
    store = open_store(storage_of(database_url), Vault(bytes(range(32))), "ES256")
    yield store
    store.storage.close()


@pytest.fixture
def store(empty: Store) -> Store:
    writer = Writer(empty.log, empty.vault, empty.ring, Policy())
    commit(writer, [register(each) for each in NAMES])
    return empty


def by_key(store: Store, *keys: str) -> list[str | None]:
    """Whom each leads to."""

    async def ask(lookup: Lookup) -> list[CredentialRow | None]:
        return [await lookup.credential(each) for each in keys]

    return _found(store, ask)


def by_name(store: Store, *macs: bytes) -> list[str | None]:
    """Whom each leads to."""

    async def ask(lookup: Lookup) -> list[CredentialRow | None]:
        return [await lookup.credential_by_name(each) for each in macs]

    return _found(store, ask)


def _found(
    store: Store, ask: Callable[[Lookup], Awaitable[list[CredentialRow | None]]]
) -> list[str | None]:
    async def scenario() -> list[CredentialRow | None]:
        lookup = lookup_of(store.storage)
        try:
            return await ask(lookup)
        finally:
            await lookup.close()

    return [None if row is None else row.user_key for row in asyncio.run(scenario())]


def read(store: Store, sql: str, *key: str | bytes) -> Row:
    with store.storage.snapshot() as rows:
        return rows.fetch(sql, key)[0]


def macs(store: Store) -> list[bytes]:
    with store.storage.snapshot() as rows:
        found = rows.fetch("SELECT name_mac FROM user_ids ORDER BY name_mac", ())
    return [each for (each,) in found if isinstance(each, bytes)]


def moved(mac: bytes, by: int) -> bytes:
    return (int.from_bytes(mac) + by).to_bytes(len(mac))


def test_each_key_leads_to_its_user_and_those_beside_it_to_nobody(store: Store) -> None:
    """Security rule 9: the next one is read in place of nobody, and never told."""
    assert by_key(store, *KEYS) == KEYS
    beside = ["", FIRST, LAST, *(each[:-1] for each in KEYS), *(f"{each}0" for each in KEYS)]
    assert {*by_key(store, *beside)} == {None}


def test_each_name_leads_to_its_user_and_those_beside_it_to_nobody(store: Store) -> None:
    """Security rule 9."""
    names = macs(store)
    assert {*by_name(store, *names)} == {*KEYS}
    beside = [moved(each, by) for each in names for by in (-1, 1)]
    assert {*by_name(store, bytes(32), b"\xff" * 32, *beside)} == {None}


def test_the_next_one_is_read_in_place_of_nobody(store: Store) -> None:
    """Else nobody would take less time."""
    assert read(store, CREDENTIAL_BY_KEY, b"", KEYS[3][:-1])[:2] == (KEYS[3], KEYS[3])
    mac = macs(store)[3]
    shown, key, *_ = read(store, CREDENTIAL_BY_NAME, moved(mac, -1))
    assert (shown, key in KEYS) == (mac, True)


def test_the_first_one_is_read_in_place_of_who_would_be_the_last(store: Store) -> None:
    assert read(store, CREDENTIAL_BY_KEY, b"", LAST)[:2] == (KEYS[0], KEYS[0])
    shown, key, *_ = read(store, CREDENTIAL_BY_NAME, b"\xff" * 32)
    assert (shown, key in KEYS) == (macs(store)[0], True)


def test_where_there_is_nobody_nobody_is_found(empty: Store) -> None:
    assert by_key(empty, "", FIRST) == [None, None]
    assert by_name(empty, bytes(32)) == [None]


def test_a_name_that_leads_to_no_user_leads_to_nobody(store: Store) -> None:
    """As where a row is lost: who comes by that name is refused as anybody is."""
    mac = moved(macs(store)[0], 1)
    with store.storage.transaction() as rows:
        rows.execute(RESERVE_NAME, (mac, user_key("lost")))
        rows.commit()
    assert by_name(store, mac) == [None]


@pytest.mark.parametrize(
    ("sql", "key"), [(CREDENTIAL_BY_KEY, (b"", FIRST)), (CREDENTIAL_BY_NAME, (bytes(32),))]
)
def test_nobody_is_found_by_index_however_many_there_are(
    store: Store, sql: str, key: tuple[str | bytes, ...]
) -> None:
    with store.storage.snapshot() as rows:
        how = "EXPLAIN QUERY PLAN" if rows.kind == "sqlite" else "EXPLAIN"
        plan = [str(row[-1]) for row in rows.fetch(f"{how} {sql}", key)]
    assert not [step for step in plan if re.search(r"SCAN [wdkc]\b|Seq Scan on (user|known)", step)]
    assert len([step for step in plan if re.search(r"SEARCH|Index (Only )?Scan", step)]) >= 4, plan
