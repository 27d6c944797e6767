"""What an operator does with users, on each kind of store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.administration import Administration, Directory, UserItem
from app.caller import command_line
from app.opening import Opener
from app.passwords import HashPool
from app.registration import Registration, Rules
from app.store import Store, open_store, storage_of
from app.timestamps import parse_rfc3339
from app.vault import Vault
from app.writer import Wish, Writer
from domain.errors import (
    Damage,
    InvalidRequest,
    NotFound,
    UnacceptableSecret,
    UserIdTaken,
)
from domain.policy import SECOND, Policy
from tests.store.wishing import log_in, register, user_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.commands import Command
    from domain.stream import Meta, Recorded

SECRET = "quite a fine secret"
POLICY = Policy()
LATER = POLICY.session_idle


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(storage_of(database_url), Vault(bytes(range(32))), "ES256")
    yield opened
    opened.storage.close()


@pytest.fixture
def writer(store: Store) -> Writer:
    return Writer(store.log, store.vault, store.ring, POLICY)


@pytest.fixture
def administration(writer: Writer) -> Iterator[Administration]:
    async def dispatch(command: Command, meta: Meta) -> tuple[Recorded, ...]:
        (answer,) = writer.commit([Wish(command, meta)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    pool = HashPool(threads=1, memory_kib=8, time_cost=1)
    rules = Rules(open=False, min_length=8, common={"password1"})
    yield Administration(dispatch, Registration(dispatch, pool, rules))
    pool.close()


@pytest.fixture
def directory(store: Store) -> Directory:
    return Directory(Opener(store.vault), store.ring, POLICY)


def find(store: Store, directory: Directory, user: str, now: int | None = None) -> UserItem:
    with store.storage.transaction() as rows:
        return directory.find(rows, user, rows.clock() if now is None else now)


def test_a_user_has_the_members_of_the_contract(
    store: Store, administration: Administration, directory: Directory
) -> None:
    key = asyncio.run(administration.create("Ada", SECRET, command_line()))
    item = find(store, directory, key)
    assert item == UserItem(
        user_key=key,
        user_id="Ada",
        status="active",
        permissions=(),
        registered_at=item.registered_at,
        last_login_at=None,
        live_sessions=0,
        position=4,
    )
    assert parse_rfc3339(item.registered_at) > 0


def test_a_user_is_found_by_every_spelling_of_the_name(
    store: Store, administration: Administration, directory: Directory
) -> None:
    key = asyncio.run(administration.create("Ada", SECRET, command_line()))
    for name in (key, "Ada", "ada", "ＡＤＡ"):
        assert find(store, directory, name).user_key == key
    for name in ("adah", key.upper(), user_key("nobody"), "", "a\nb", "x" * 2000):
        with pytest.raises(NotFound):
            find(store, directory, name)


def test_a_name_that_looks_like_a_key_finds_its_user(
    store: Store, administration: Administration, directory: Directory
) -> None:
    name = user_key("nobody")
    key = asyncio.run(administration.create(name, SECRET, command_line()))
    assert find(store, directory, name).user_key == key


@pytest.mark.parametrize(
    ("name", "secret", "refusal"),
    [
        ("ada", "short", UnacceptableSecret),
        ("ada", "password1", UnacceptableSecret),
        ("abcdefgh", "hgfedcba", UnacceptableSecret),
        ("a\x1bda", SECRET, InvalidRequest),
        ("ada", "with \x00 nul inside", InvalidRequest),
    ],
)
def test_the_rules_for_a_new_user_are_those_of_registration(
    store: Store, administration: Administration, name: str, secret: str, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        asyncio.run(administration.create(name, secret, command_line()))
    with store.storage.snapshot() as rows:
        assert rows.fetch("SELECT count(*) FROM user_directory_v1") == [(0,)]


def test_a_taken_name_is_refused(administration: Administration) -> None:
    asyncio.run(administration.create("ada", SECRET, command_line()))
    with pytest.raises(UserIdTaken):
        asyncio.run(administration.create("ADA", SECRET, command_line()))


def test_permissions_are_given_and_taken_and_a_repetition_changes_nothing(
    store: Store, administration: Administration, directory: Directory
) -> None:
    key = asyncio.run(administration.create("ada", SECRET, command_line()))
    for change, permissions, changed, held in [
        (administration.grant, ("users:read", "admin"), True, ("admin", "users:read")),
        (administration.grant, ("admin",), False, ("admin", "users:read")),
        (administration.withdraw, ("users:read", "keys:read"), True, ("admin",)),
        (administration.withdraw, ("users:read",), False, ("admin",)),
        (administration.withdraw, ("admin",), True, ()),
    ]:
        assert asyncio.run(change(key, permissions, command_line())) is changed  # type: ignore[arg-type]
        assert find(store, directory, key).permissions == held
    with store.storage.snapshot() as rows:
        assert rows.fetch("SELECT max(position) FROM events") == [(7,)]


def test_a_permission_that_can_t_be_one_is_refused_whether_given_or_taken(
    administration: Administration,
) -> None:
    key = asyncio.run(administration.create("ada", SECRET, command_line()))
    for change in (administration.grant, administration.withdraw):
        with pytest.raises(InvalidRequest) as refusal:
            asyncio.run(change(key, ["users:read", "Not one"], command_line()))
        assert [fault.pointer for fault in refusal.value.faults] == ["/permissions/1"]
        with pytest.raises(NotFound):
            asyncio.run(change(user_key("nobody"), ["admin"], command_line()))


def test_live_sessions_are_those_within_their_limits(
    store: Store, writer: Writer, directory: Directory
) -> None:
    writer.commit([register("ada")])
    writer.commit([log_in("ada", "one"), log_in("ada", "two")])
    item = find(store, directory, "ada")
    assert (item.live_sessions, item.position) == (2, 8)
    assert item.last_login_at is not None
    moment = parse_rfc3339(item.last_login_at) + LATER
    assert find(store, directory, "ada", moment - SECOND).live_sessions == 2
    assert find(store, directory, "ada", moment).live_sessions == 0


def test_users_are_listed_in_the_order_of_their_registration_page_by_page(
    store: Store, writer: Writer, directory: Directory
) -> None:
    names = ["zoe", "ada", "mia", "bob", "eve"]
    writer.commit([register(name) for name in names])
    found, after = [], 0
    while True:
        with store.storage.snapshot() as rows:
            page = directory.page(rows, after, 2, 0)
        found += [item.user_id for item in page.items]
        if page.next is None:
            break
        after = page.next
    assert found == names


def test_a_user_whose_key_is_missing_is_damage(
    store: Store, writer: Writer, directory: Directory
) -> None:
    writer.commit([register("ada")])
    with store.storage.transaction() as rows:
        rows.execute("DELETE FROM user_keys WHERE version = 0")
        rows.commit()
    with pytest.raises(Damage, match="nobody erased"):
        find(store, directory, user_key("ada"))
