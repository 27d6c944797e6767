"""Signing keys that are read again while the store says nothing: nobody waits for that too long."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from app import deadline
from app.eventstore.schema import RAISE_GENERATION
from app.store import open_store, storage_of
from app.tokens import key_ring
from app.tokens.key_ring import KeyRing
from app.vault import Vault
from domain.errors import Unavailable
from tests.running import MASTER
from tests.waiting import LONGEST

if TYPE_CHECKING:
    from app.store import Store
    from app.tokens.key_ring import RingState


def test_those_who_wait_for_keys_share_a_read_that_begins_after_they_came(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Security rule 27: a key of RSA takes long to read, and an erasure has all of them wait."""
    store = open_store(storage_of(sqlite_url), Vault(MASTER), "ES256")
    ring, read, begun = KeyRing(store), key_ring._read, 0
    reading, go_on = threading.Event(), threading.Event()

    def counted(store: Store) -> RingState:
        nonlocal begun
        begun += 1
        reading.set()
        go_on.wait(LONGEST)
        return read(store)

    def moved() -> int:
        with store.storage.transaction() as rows:
            rows.execute(RAISE_GENERATION)
            rows.commit()
        return ring.generation + begun + 1

    async def ask() -> None:
        first = [asyncio.create_task(ring.at(generation)) for generation in [moved()] * 64]
        await asyncio.to_thread(reading.wait, LONGEST)
        # What is under way may have read before it moved once more.
        later = [asyncio.create_task(ring.at(generation)) for generation in [moved()] * 64]
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(*first, *later)

    monkeypatch.setattr(key_ring, "_read", counted)
    before = ring.generation
    try:
        asyncio.run(ask())
    finally:
        go_on.set()
        store.storage.close()
    assert (begun, ring.generation) == (2, before + 2)


def test_who_waits_for_keys_is_refused_in_time_and_they_are_read_all_the_same(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Security rule 27."""
    store = open_store(storage_of(sqlite_url), Vault(MASTER), "ES256")
    ring, answers, read = KeyRing(store), threading.Event(), key_ring._read

    def silent(store: Store) -> RingState:
        answers.wait()
        return read(store)

    async def ask() -> None:
        before = ring.known
        with pytest.raises(Unavailable):
            await ring.at(ring.generation + 1)
        assert ring.known is before
        answers.set()
        async with ring._reads._turn:
            assert ring.known is not before

    monkeypatch.setattr(key_ring, "_read", silent)
    monkeypatch.setattr(deadline, "left", lambda _: 0.01)
    try:
        asyncio.run(ask())
    finally:
        answers.set()
        store.storage.close()
