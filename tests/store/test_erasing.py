"""A person is erased in a store: what goes with the commit, and what is left in which bytes."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app import audit
from app.audit import Wanted
from app.buckets_postgres import row_name
from app.erasing import finish, unfinished
from app.eventstore import snapshot
from app.eventstore.log import read_stream
from app.throttle import account_claims
from app.writer import Wish
from domain import commands, events
from domain.commands import Authority
from domain.errors import InsufficientPermission, InvalidCredentials, LastAdministrator
from domain.stream import CLI, Meta, actor_of
from projections.storage import Lost
from projections.storage_sqlite import SqliteStorage
from tests.store.intruding import SQLITE, dump, intrude
from tests.store.traces import forms, found_in, traces_of
from tests.store.wishing import (
    IP,
    USER_AGENT,
    commit,
    fail,
    log_in,
    meta,
    permit,
    register,
    rotate,
    session_id,
    use,
    user_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.store import Store
    from app.writer import Writer
    from tests.store.conftest import MakeWriter, OpenStore

OPERATOR = Meta(CLI, "0" * 32)
ADA, BOB = user_key("ada"), user_key("bob")
NAMES = {"name": b"Ada.Lovelace@example.org", "prepared": b"ada.lovelace@example.org"}
KEPT_BY_PERSON = (
    ("user_keys", "version >= 0 AND user_key"),
    ("user_ids", "user_key"),
    ("known_networks", "user_key"),
    ("snapshots", "stream"),
)


class Meanwhile(SqliteStorage):
    """Something happens once, when a checkpoint is done."""

    meanwhile: Callable[[], None] | None = None

    def checkpoint(self) -> bool:
        done = super().checkpoint()
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return done


def erase(who: str, by: str | None = None) -> Wish:
    """By an operator, or by somebody who shows a token for everything."""
    authority = None if by is None else Authority(user_key(by), ("admin",))
    asked = OPERATOR if by is None else meta(actor_of(user_key(by)))
    return Wish(commands.EraseUser(user_key(who), by=authority), asked)


def erase_oneself(who: str) -> Wish:
    return Wish(commands.EraseOneself(user_key(who), 1), meta(actor_of(user_key(who))))


def fill(writer: Writer) -> None:
    """Ada, with something in every table, and Bob."""
    commit(writer, [register("ada", "Ada.Lovelace@example.org"), register("bob")])
    network = ("INSERT INTO known_networks VALUES (?, ?, 1)", (ADA, b"a network of ada's" * 2))
    begun = log_in("ada", "a")
    commit(writer, [Wish(begun.command, begun.meta, (network,))])
    commit(writer, [use("ada", "a"), log_in("bob", "b"), use("bob", "b")])
    for generation in range(1, snapshot.EVERY + 2):
        commit(writer, [rotate("ada", "a", generation)])


def rows_of(store: Store, key: str) -> dict[str, int]:
    with store.storage.snapshot() as rows:
        return {
            table: int(
                rows.fetch(f"SELECT count(*) FROM {table} WHERE {column} = ?", (key,))[0][0] or 0
            )
            for table, column in KEPT_BY_PERSON
        }


def types(store: Store, key: str) -> list[str]:
    found = audit.events(store.storage, store.vault, Wanted(key))
    return [item.type for page in found for item in page]


def test_a_person_goes_from_every_table_in_one_commit(store: Store, writer: Writer) -> None:
    fill(writer)
    before, bobs = rows_of(store, ADA), rows_of(store, BOB)
    assert before == {"user_keys": 2, "user_ids": 1, "known_networks": 1, "snapshots": 1}
    (answer,) = writer.commit([erase("ada")])
    assert isinstance(answer, tuple)
    assert [type(each.event) for each in answer] == [events.RefreshTokenRevoked, events.UserErased]
    assert answer[0].event == events.RefreshTokenRevoked(session_id("ada", "a"), "erased")
    assert set(rows_of(store, ADA).values()) == {0}
    assert rows_of(store, BOB) == bobs


def test_no_byte_of_a_person_is_left_when_it_is_finished(
    database_url: str, store: Store, writer: Writer
) -> None:
    """Security rule 20. On SQLite in no file, on PostgreSQL in no live row."""
    fill(writer)
    traces = {**traces_of(store, ADA), **NAMES, "ip": IP.encode(), "agent": USER_AGENT.encode()}
    wrapped = {name for name in traces if name.startswith("wrapped")}
    assert found_in(dump(database_url), traces) == wrapped
    bobs = traces_of(store, BOB)
    commit(writer, [erase("ada")])
    assert finish(store.storage) == {}
    assert found_in(dump(database_url), traces) == set()
    assert found_in(dump(database_url), bobs) == {name for name in bobs if name.startswith("wrap")}


def test_the_search_finds_a_value_in_every_form_and_place() -> None:
    value = bytes(range(100, 161))
    for form in forms(value):
        assert found_in(b"before" + form + b"after", {"it": value}) == {"it"}
    for before in range(4):
        longer = base64.b64encode(b"\xff" * before + value + b"\xfe\xfd")
        assert found_in(longer, {"it": value}) == {"it"}
    assert found_in(value[:-1], {"it": value}) == set()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_the_checkpoint_its_key_is_left_in_the_log_beside_the_file(
    database_url: str, store: Store, writer: Writer
) -> None:
    """The control: the search finds what is there."""
    fill(writer)
    traces = traces_of(store, ADA)
    commit(writer, [erase("ada")])
    assert {f"wrapped key {version}" for version in (0, 1)} & found_in(dump(database_url), traces)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_secure_delete_its_key_is_left_in_the_file(
    database_url: str, store: Store, writer: Writer
) -> None:
    """The control of that setting."""
    fill(writer)
    traces = traces_of(store, ADA)
    assert isinstance(store.storage, SqliteStorage)
    store.storage._writing().execute("PRAGMA secure_delete=OFF")
    commit(writer, [erase("ada")])
    assert finish(store.storage) == {}
    assert {f"wrapped key {version}" for version in (0, 1)} & found_in(dump(database_url), traces)


def test_a_freed_name_is_another_persons_at_once(store: Store, writer: Writer) -> None:
    """Security rule 15."""
    fill(writer)
    commit(writer, [erase("ada")])
    commit(writer, [register("carol", "ADA.LOVELACE@EXAMPLE.ORG")])
    assert rows_of(store, user_key("carol"))["user_ids"] == 1
    assert types(store, ADA)[-1] == "user.erased"


def test_whoever_is_erased_a_second_time_changes_nothing(store: Store, writer: Writer) -> None:
    fill(writer)
    commit(writer, [erase("ada")])
    told = types(store, ADA)
    assert writer.commit([erase("ada"), erase("ada")]) == [(), ()]
    assert types(store, ADA) == told
    assert told.count("user.erased") == 1


def test_where_a_person_acted_from_goes_with_its_key(store: Store, writer: Writer) -> None:
    """And with its own erasure nothing of it is sealed any more."""
    commit(writer, [register("ada"), register("bob"), permit("ada", "admin")])
    commit(writer, [permit("bob", "admin"), erase("ada", by="bob")])
    commit(writer, [register("carol"), permit("carol", "admin")])
    (answer,) = writer.commit([erase_oneself("bob")])
    assert isinstance(answer, tuple)
    assert [each.meta.origin for each in answer] == [None]
    pages = audit.events(store.storage, store.vault, Wanted(ADA))
    erased = [item for page in pages for item in page][-1]
    assert (erased.type, erased.actor) == ("user.erased", actor_of(BOB))
    assert (erased.ip, erased.user_agent, erased.erased) == (None, None, True)


def test_an_administrator_leaves_its_own_address_with_whom_it_erases(
    store: Store, writer: Writer
) -> None:
    commit(writer, [register("ada"), register("bob"), permit("bob", "admin")])
    commit(writer, [erase("ada", by="bob")])
    pages = audit.events(store.storage, store.vault, Wanted(ADA))
    erased = [item for page in pages for item in page][-1]
    assert (erased.ip, erased.erased) == (IP, True)


def test_no_snapshot_is_kept_of_who_was_erased(store: Store, writer: Writer) -> None:
    """Though one was due in the same batch, before or with the erasure."""
    commit(writer, [register("ada"), log_in("ada", "a"), use("ada", "a")])
    due = [rotate("ada", "a", generation) for generation in range(1, snapshot.EVERY - 3)]
    batch = [*due, fail("ada"), erase("ada")]
    commit(writer, batch)
    with store.storage.snapshot() as rows:
        told = read_stream(rows, ADA)
    assert len(told) > snapshot.EVERY
    # One commit: each command is a microsecond after the one before.
    assert told[-1].time - told[-1 - len(batch)].time == len(batch) - 1
    assert rows_of(store, ADA)["snapshots"] == 0


def test_what_comes_after_an_erasure_in_its_batch_finds_nobody(
    store: Store, writer: Writer
) -> None:
    """Security rules 16 and 17."""
    commit(writer, [register("ada"), register("bob"), permit("ada", "admin")])
    late = [log_in("ada", "a"), fail("ada"), erase("bob", by="ada")]
    answers = writer.commit([erase("ada"), *late])
    assert isinstance(answers[1], InvalidCredentials)
    assert answers[2] == ()
    assert isinstance(answers[3], InsufficientPermission)
    assert types(store, ADA)[-1] == "user.erased"


def test_what_one_process_erased_is_nobody_to_another_that_knew_it(
    opened: OpenStore, make_writer: MakeWriter
) -> None:
    """Security rule 16: the other has its key and its state in memory."""
    here, there = opened(), opened()
    one, other = make_writer(here), make_writer(there)
    commit(one, [register("ada"), register("bob"), permit("ada", "admin")])
    commit(other, [log_in("ada", "a"), log_in("bob", "b")])
    assert {ADA, BOB} <= other._keys.keys()
    commit(one, [erase("ada")])
    told = types(here, ADA)
    by_ada = Wish(commands.GrantPermissions(BOB, ("x",)), meta(actor_of(ADA)))
    answers = other.commit(
        [log_in("ada", "c"), rotate("ada", "a"), fail("ada"), erase_oneself("ada"), by_ada]
    )
    assert [isinstance(each, Exception) for each in answers] == [True, True, False, True, False]
    assert answers[2] == ()
    assert answers[4][0].meta.origin is None  # sealed with a key that is nowhere
    assert ADA not in other._keys
    assert types(there, ADA) == told


def test_the_last_administrator_goes_neither_by_itself_nor_with_another(
    store: Store, writer: Writer
) -> None:
    commit(writer, [register("ada"), register("bob"), register("carol")])
    commit(writer, [permit("ada", "admin")])
    (alone,) = writer.commit([erase_oneself("ada")])
    assert isinstance(alone, LastAdministrator)
    commit(writer, [permit("bob", "admin")])
    first, second = writer.commit([erase_oneself("ada"), erase_oneself("bob")])
    assert isinstance(first, tuple)
    assert isinstance(second, LastAdministrator)
    commit(writer, [erase("bob")])
    assert types(store, BOB)[-1] == "user.erased"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_beside_an_open_read_an_erasure_isnt_finished_and_nobody_waits(
    database_url: str, opened: OpenStore, make_writer: MakeWriter
) -> None:
    """And it is known in another process, after this one is gone."""
    store, reading = opened(), opened()
    writer = make_writer(store)
    fill(writer)
    traces = traces_of(store, ADA)
    with reading.storage.snapshot() as rows:
        assert rows.fetch("SELECT count(*) FROM events")
        commit(writer, [erase("ada")])
        assert list(finish(store.storage)) == [ADA]
        assert found_in(dump(database_url), traces)
        commit(writer, [log_in("bob", "c")])  # nothing is locked
        assert list(finish(store.storage)) == [ADA]
        store.storage.close()
        again = opened()
        assert list(unfinished(again.storage)) == [ADA]
        assert list(finish(again.storage)) == [ADA]
    assert finish(again.storage) == {}
    assert unfinished(again.storage) == {}
    assert not found_in(dump(database_url), traces)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_erasure_that_came_while_another_was_being_finished_is_finished_later(
    database_url: str, opened: OpenStore, make_writer: MakeWriter
) -> None:
    storage = Meanwhile(Path(database_url.removeprefix(SQLITE)))
    store = opened(storage=storage)
    writer = make_writer(store)
    commit(writer, [register("ada"), register("bob"), erase("ada")])
    storage.meanwhile = lambda: commit(writer, [erase("bob")])
    assert finish(storage) == {}
    assert list(unfinished(storage)) == [BOB]
    assert finish(storage) == {}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_on_postgresql_it_is_finished_with_the_commit(
    database_url: str, store: Store, writer: Writer
) -> None:
    """Nothing is left to note, and the budgets' rows of the account go too."""
    fill(writer)
    network = (b"a network of ada's" * 2).hex()
    others = account_claims(BOB, [])
    named = [row_name(store.ring.network, each) for each in account_claims(ADA, [network])]
    kept = [row_name(store.ring.network, each) for each in others]
    with intrude(database_url) as intruder:
        for name in (*named, *kept):
            intruder.run("INSERT INTO budgets VALUES (?, 1, 1, 0, 1, 1, 1)", (name,))
        commit(writer, [erase("ada")])
        assert unfinished(store.storage) == {}
        assert intruder.run("SELECT key FROM budgets") == [(key,) for key in kept]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_store_that_can_t_be_reached_is_said_to_be_so(store: Store) -> None:
    store.storage.close()
    assert isinstance(store.storage, SqliteStorage)
    with pytest.raises(Lost):
        store.storage.checkpoint()
