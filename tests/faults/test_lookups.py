"""Look-ups on PostgreSQL go on, whatever became of one of them."""

from __future__ import annotations

import asyncio

import pytest

from app.lookup import IN_FLIGHT, PostgresLookup
from app.store import open_store, storage_of
from app.vault import Vault
from domain.errors import InternalError
from tests.running import MASTER

NOT_TEXT = "\ud800"


def test_a_look_up_that_fails_in_an_unforeseen_way_fails_alone(postgres_url: str) -> None:
    store = open_store(storage_of(postgres_url), Vault(MASTER), "ES256")

    async def look_up() -> None:
        lookup = PostgresLookup(postgres_url)
        try:
            for _ in range(IN_FLIGHT + 1):
                with pytest.raises(InternalError):
                    await lookup.session(NOT_TEXT)
                with pytest.raises(InternalError):
                    await lookup.credential(NOT_TEXT)
            assert (await lookup.head()).log_id == store.log_id
        finally:
            await lookup.close()

    asyncio.run(look_up())
    store.storage.close()
