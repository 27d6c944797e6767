"""Signing keys that are read again while the store says nothing: nobody waits for that too long."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from app.store import open_store, storage_of
from app.tokens import key_ring
from app.tokens.key_ring import KeyRing
from app.vault import Vault
from domain.errors import Unavailable
from tests.running import MASTER

if TYPE_CHECKING:
    from app.store import Store
    from app.tokens.key_ring import RingState


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
        async with ring._reloading:
            assert ring.known is not before

    monkeypatch.setattr(key_ring, "_read", silent)
    monkeypatch.setattr(key_ring, "left", lambda _: 0.01)
    try:
        asyncio.run(ask())
    finally:
        answers.set()
        store.storage.close()
