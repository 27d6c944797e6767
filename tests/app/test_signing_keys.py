"""Keys that rotate: by command, by age and at once, with their private parts, on both stores."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from app.bootstrap import open_writer
from app.caller import command_line
from app.settings import load
from app.signing_keys import RETIRE_AFTER, KeyRotation, items
from app.store import open_store, storage_of
from app.tokens.key_ring import KeyRing
from app.vault import Vault
from app.writer import Wish
from domain.policy import SECOND
from tests.running import MASTER, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.settings import Settings
    from app.store import Store
    from domain.commands import Command
    from domain.stream import Meta, Recorded
    from projections.storage import Statement


@pytest.fixture
def chosen(database_url: str) -> Settings:
    return load(settings(database_url, JWKS_MAX_AGE="1")).settings


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    found = open_store(storage_of(database_url), Vault(MASTER), "ES256")
    yield found
    found.storage.close()


@pytest.fixture
def rotation(store: Store, chosen: Settings) -> KeyRotation:
    writer = open_writer(store, chosen)

    async def dispatch(
        command: Command, meta: Meta, rows: tuple[Statement, ...] = ()
    ) -> tuple[Recorded, ...]:
        (answer,) = writer.commit([Wish(command, meta, rows)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    return KeyRotation(dispatch, store.vault, chosen)


def private_parts(store: Store) -> set[str]:
    with store.storage.snapshot() as rows:
        found = rows.fetch("SELECT name FROM ring_keys WHERE name LIKE 'signing %'")
    return {str(name).removeprefix("signing ") for (name,) in found}


def test_every_process_switches_at_the_written_time(store: Store, rotation: KeyRotation) -> None:
    before = KeyRing(store)
    old = before.signer(0).kid
    assert asyncio.run(rotation.rotate(command_line()))
    assert not asyncio.run(rotation.rotate(command_line())), "one waits already"
    ring = KeyRing(store)
    assert ring.generation > before.generation
    new = next(kid for kid in ring.known.keys if kid != old)
    switch = ring.known.keys[new].active_from
    assert switch == ring.known.keys[new].created_at + 2 * SECOND
    assert (ring.signer(switch - 1).kid, ring.signer(switch).kid) == (old, new)
    assert [item.state for item in items(ring.known, switch - 1)] == ["active", "next"]
    assert [item.state for item in items(ring.known, switch)] == ["retired", "active"]
    assert {key["kid"] for key in ring.published(switch)} == {old, new}
    assert private_parts(store) == {old, new}


def test_a_retired_key_has_no_private_part_and_still_verifies(
    store: Store, rotation: KeyRotation, chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = KeyRing(store).signer(0).kid
    at_once = KeyRotation(
        rotation._dispatch, store.vault, msgspec.structs.replace(chosen, jwks_max_age=0)
    )
    asyncio.run(at_once.rotate(command_line()))
    ring = KeyRing(store)
    now = max(key.active_from or 0 for key in ring.known.keys.values())
    asyncio.run(rotation.tend(ring.known, now + RETIRE_AFTER))
    assert old in private_parts(store), "by the log's clock it isn't due"
    monkeypatch.setattr("app.signing_keys.RETIRE_AFTER", 0)
    asyncio.run(rotation.tend(ring.known, now))
    after = KeyRing(store)
    assert after.generation > ring.generation
    assert old not in private_parts(store)
    assert old in after.verifying
    assert [item.state for item in items(after.known, now)] == ["retired", "active"]


def test_at_once_the_old_key_is_gone_everywhere(store: Store, rotation: KeyRotation) -> None:
    other = KeyRing(store)
    old = other.signer(0).kid
    asyncio.run(rotation.rotate(command_line(), at_once=True))
    asyncio.run(other.at(other.generation + 1))
    assert old not in other.verifying
    assert old not in private_parts(store)
    assert other.signer(0).kid != old
    assert [item.state for item in items(other.known, 2**60)] == ["withdrawn", "active"]


def test_a_key_that_is_old_is_rotated_once(
    store: Store, rotation: KeyRotation, chosen: Settings
) -> None:
    ring = KeyRing(store)
    since = next(iter(ring.known.keys.values())).active_from or 0
    old = since + chosen.key_max_age * SECOND
    asyncio.run(rotation.tend(ring.known, old))
    assert len(KeyRing(store).known.keys) == 1, "by the log's clock it is young"
    eager = msgspec.structs.replace(chosen, key_max_age=0)
    rotation = KeyRotation(rotation._dispatch, store.vault, eager)
    asyncio.run(rotation.tend(ring.known, since + 1))
    asyncio.run(rotation.tend(ring.known, since + 2))
    assert len(KeyRing(store).known.keys) == 2
