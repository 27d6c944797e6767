"""Changing the master key: broken off, gone on with beside work, and the old one dead."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from app import rewrapping
from app.caller import command_line
from app.rewrapping import rewrap
from app.settings import load
from app.signing_keys import KeyRotation
from app.store import UnusableStore, open_store, storage_of
from app.tokens.key_ring import KeyRing
from app.vault import Vault
from app.writer import Wish, Writer
from domain.errors import Damage, InternalError
from domain.policy import Policy
from tests.store.wishing import commit, log_in, register, user_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from app.store import Store
    from domain.commands import Command
    from domain.stream import Meta, Recorded
    from projections.storage import Statement

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
PEOPLE = [f"person-{number}" for number in range(25)]
EARLIEST = min((f"newcomer-{number}" for number in range(500)), key=user_key)
"""Whose keys come before everybody's."""


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrapping, "BATCH", 7)


def opened(url: str, vault: Vault) -> Store:
    return open_store(storage_of(url), vault, "ES256")


def writer_of(store: Store) -> Writer:
    return Writer(store.log, store.vault, store.ring, Policy())


def filled(url: str) -> Store:
    """A store under the old master key, open to a process that knows that one alone."""
    store = opened(url, Vault(OLD))
    commit(writer_of(store), [register(each) for each in PEOPLE])
    return store


def rotate(store: Store) -> None:
    """Let a new signing key take over, as a process with this store open does."""
    writer = writer_of(store)

    async def dispatch(
        command: Command, meta: Meta, rows: tuple[Statement, ...] = ()
    ) -> tuple[Recorded, ...]:
        (answer,) = writer.commit([Wish(command, meta, rows)])
        assert not isinstance(answer, Exception)
        return answer

    assert asyncio.run(KeyRotation(dispatch, store.vault, load({}).settings).rotate(command_line()))


def meet(first: Store, second: Store, label: str) -> None:
    """Each of two processes makes keys, and uses those that the other one made."""
    one, other = writer_of(first), writer_of(second)
    commit(one, [register(f"{label}-one")])
    commit(other, [register(f"{label}-other"), log_in(f"{label}-one", "elsewhere")])
    commit(one, [log_in(f"{label}-other", "elsewhere")])


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
    store = filled(database_url)
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
    commit(writer_of(new), [log_in(PEOPLE[0], "one")])
    with new.storage.snapshot() as rows:
        assert rows.fetch("SELECT * FROM events ORDER BY position")[: len(log)] == log
    new.storage.close()


def test_it_goes_on_where_it_was_broken_off_and_beside_work(database_url: str) -> None:
    filled(database_url).storage.close()
    both = opened(database_url, Vault(NEW, OLD))
    writer = writer_of(both)

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


@pytest.mark.parametrize(
    ("after", "wrap", "left"),
    [
        (1, rotate, 1),
        (2, lambda store: commit(writer_of(store), [register(EARLIEST)]), 2),
    ],
    ids=["a signing key", "a person's keys"],
)
def test_keys_that_come_under_the_old_one_behind_its_back_are_told_and_wrapped_the_next_time(
    database_url: str, after: int, wrap: Callable[[Store], None], left: int
) -> None:
    """The ring is wrapped when it is told of first, and the first people when it is told again."""
    store = filled(database_url)
    both = opened(database_url, Vault(NEW, OLD))

    def done(some: int) -> None:
        told.append(some)
        if len(told) == after:
            wrap(store)

    told: list[int] = []
    with pytest.raises(Damage, match=f"another master key meanwhile: {left}\\."):
        rewrap(both.storage, both.vault, done)
    store.storage.close()
    assert rewrap(both.storage, both.vault, told.append) == left
    assert masters(both) == {both.vault.master_id}
    both.storage.close()
    new = opened(database_url, Vault(NEW))
    assert KeyRing(new).known.keys
    new.storage.close()


def test_the_newcomer_comes_before_everybody() -> None:
    assert user_key(EARLIEST) < min(map(user_key, PEOPLE))


def test_every_process_opens_what_the_others_wrap_while_one_after_another_takes_a_step(
    database_url: str,
) -> None:
    """In the order of docs/how-to/change-keys.md."""
    vaults = [Vault(OLD), Vault(OLD, NEW), Vault(NEW, OLD), Vault(NEW)]
    filled(database_url).storage.close()
    for number, (before, after) in enumerate(pairwise(vaults)):
        first = opened(database_url, before)
        if after is vaults[-1]:
            rewrap(first.storage, first.vault, lambda some: None)
        second = opened(database_url, after)
        meet(first, second, f"step-{number}")
        first.storage.close()
        second.storage.close()


def test_a_process_that_took_no_step_does_not_open_what_the_new_one_wraps(
    database_url: str,
) -> None:
    first, second = filled(database_url), opened(database_url, Vault(NEW, OLD))
    with pytest.raises(InternalError):
        meet(first, second, "too-early")
    first.storage.close()
    second.storage.close()


@pytest.mark.parametrize("table", ["ring_keys", "user_keys"])
def test_a_key_that_is_no_bytes_is_damage(tmp_path: Path, table: str) -> None:
    """On SQLite: PostgreSQL keeps nothing else in such a column."""
    url = f"sqlite:///{tmp_path}/gatebook.db"
    filled(url).storage.close()
    both = opened(url, Vault(NEW, OLD))
    with both.storage.transaction() as rows:
        rows.execute(f"UPDATE {table} SET wrapped = 'text'")
        rows.commit()
    with pytest.raises(Damage, match="not bytes"):
        rewrap(both.storage, both.vault, lambda some: None)
    both.storage.close()
