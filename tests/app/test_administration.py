"""What operators and administrators do with users, on each kind of store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import pytest

from app import audit
from app.administration import Administration, Directory, UserItem
from app.audit import Wanted
from app.caller import command_line
from app.opening import Opener
from app.paging import Part
from app.passwords import HashPool
from app.registration import Registration, Rules
from app.store import Store, open_store, storage_of
from app.timestamps import parse_rfc3339
from app.vault import Vault
from app.writer import Wish, Writer
from domain import commands
from domain.commands import Authority
from domain.errors import (
    Damage,
    InsufficientPermission,
    InvalidCredentials,
    InvalidRequest,
    LastAdministrator,
    NotFound,
    UnacceptableSecret,
    UserIdTaken,
)
from domain.policy import SECOND, Policy
from domain.sealed import Clear
from domain.stream import actor_of
from tests.store.wishing import HASH, log_in, meta, permit, register, user_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.writer import Answer
    from domain.commands import AdministrativeCommand, Command
    from domain.stream import Meta, Recorded

    Change = Callable[[Administration, str, Authority | None, Meta], Awaitable[object]]

SECRET = "quite a fine secret"
POLICY = Policy()
LATER = POLICY.session_idle


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(storage_of(database_url), Vault(bytes(range(32))), "ES256")
    yield opened
    opened.storage.close()


def writer_on(store: Store) -> Writer:
    return Writer(store.log, store.vault, store.ring, POLICY)


@pytest.fixture
def writer(store: Store) -> Writer:
    return writer_on(store)


@pytest.fixture
def other(database_url: str, store: Store) -> Iterator[Writer]:
    """A writer as another process has it; `store` is made by then."""
    opened = open_store(storage_of(database_url), store.vault, "ES256")
    yield writer_on(opened)
    opened.storage.close()


@pytest.fixture
def meanwhile() -> list[Callable[[], object]]:
    """What happens after a wish was made, and before it is decided."""
    return []


@pytest.fixture
def administration(
    writer: Writer, meanwhile: list[Callable[[], object]]
) -> Iterator[Administration]:
    async def dispatch(command: Command, meta: Meta) -> tuple[Recorded, ...]:
        for each in meanwhile:
            each()
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
    for order, wanted in (("asc", names), ("desc", names[::-1])):
        found, part = [], Part(2, order=order)  # type: ignore[arg-type]
        while True:
            with store.storage.snapshot() as rows:
                page = directory.page(rows, part, 0)
            assert len(page.items) <= 2
            found += [item.user_id for item in page.items]
            if page.next is None:
                break
            part = msgspec.structs.replace(part, after=page.next)
        assert found == wanted


@pytest.mark.parametrize("limit", [4, 5, 6])
def test_a_page_that_holds_the_rest_has_no_next_one(
    store: Store, writer: Writer, directory: Directory, limit: int
) -> None:
    writer.commit([register(str(each)) for each in range(5)])
    with store.storage.snapshot() as rows:
        page = directory.page(rows, Part(limit), 0)
    assert (len(page.items), page.next is None) == (min(limit, 5), limit >= 5)


@pytest.mark.parametrize("place", ["", "x", "-1", "1.5", "1 ", "１", "9" * 19])
def test_a_place_that_no_list_gave_out_is_refused(
    store: Store, directory: Directory, place: str
) -> None:
    with store.storage.snapshot() as rows, pytest.raises(InvalidRequest) as refusal:
        directory.page(rows, Part(after=place), 0)
    assert [fault.pointer for fault in refusal.value.faults] == ["/after"]


def test_a_list_of_one_name_holds_its_user_or_nobody(
    store: Store, writer: Writer, directory: Directory
) -> None:
    writer.commit([register("ada", "Ada"), register("bob")])
    with store.storage.snapshot() as rows:
        found = [
            directory.named(rows, name, 0) for name in ("ADA", "adah", "a\nb", user_key("ada"))
        ]
    assert [[item.user_id for item in page.items] for page in found] == [["Ada"], [], [], []]
    assert {page.next for page in found} == {None}


def test_a_user_is_shown_by_its_key_alone(
    store: Store, writer: Writer, directory: Directory
) -> None:
    writer.commit([register("ada")])
    with store.storage.snapshot() as rows:
        assert directory.show(rows, user_key("ada"), 0).user_id == "ada"
        for wrong in ("ada", user_key("nobody"), user_key("ada").upper(), ""):
            with pytest.raises(NotFound):
                directory.show(rows, wrong, 0)


def test_a_user_whose_key_is_missing_is_damage(
    store: Store, writer: Writer, directory: Directory
) -> None:
    writer.commit([register("ada")])
    with store.storage.transaction() as rows:
        rows.execute("DELETE FROM user_keys WHERE version = 0")
        rows.commit()
    with pytest.raises(Damage, match="nobody erased"):
        find(store, directory, user_key("ada"))


# --- what administrators may, and operators


def item_of(key: str) -> UserItem:
    return UserItem(key, "Ada", "active", (), "", None, 0, 0)


CHANGES: dict[str, Change] = {
    "set_permissions": lambda users, key, by, meta: users.set_permissions(key, ["x"], by, meta),
    "reset_secret": lambda users, key, by, meta: users.reset_secret(item_of(key), SECRET, by, meta),
    "disable": lambda users, key, by, meta: users.disable(key, by, meta),
    "enable": lambda users, key, by, meta: users.enable(key, by, meta),
    "end_sessions": lambda users, key, by, meta: users.end_sessions(key, by, meta),
}
EACH = pytest.mark.parametrize("name", CHANGES)
ADA, BOB, CID = map(user_key, ("ada", "bob", "cid"))


def operate(writer: Writer, *wishes: Wish) -> None:
    for answer in writer.commit(wishes):
        assert not isinstance(answer, Exception), answer


def wish(command: Command) -> Wish:
    return Wish(command, command_line())


def prepare(writer: Writer, name: str, *permissions: str) -> None:
    """Ada is logged in; Bob has these permissions."""
    operate(writer, register("ada"), log_in("ada", "one"), log_in("ada", "two"))
    operate(writer, register("bob"), permit("bob", *permissions))
    if name == "enable":
        operate(writer, wish(commands.DisableUser(ADA)))


def change(administration: Administration, name: str, key: str, by: Authority | None) -> object:
    told = command_line() if by is None else meta(actor_of(by.user_key))

    async def done() -> object:
        return await CHANGES[name](administration, key, by, told)

    return asyncio.run(done())


def head(store: Store) -> object:
    with store.storage.snapshot() as rows:
        return rows.fetch("SELECT max(position) FROM events")[0][0]


@EACH
@pytest.mark.parametrize("by", [None, Authority(BOB, ("users:write",)), Authority(BOB, ("admin",))])
def test_an_operator_and_an_administrator_change_a_user(
    store: Store,
    writer: Writer,
    administration: Administration,
    directory: Directory,
    name: str,
    by: Authority | None,
) -> None:
    prepare(writer, name, *(by.permissions if by else ()), "x")
    if by is not None:
        by = msgspec.structs.replace(by, permissions=(*by.permissions, "x"))
    before = find(store, directory, ADA)
    answer = change(administration, name, ADA, by)
    after = find(store, directory, ADA)
    told = (after.status, after.permissions, after.live_sessions)
    assert (answer, told) == {
        "set_permissions": (None, ("active", ("x",), 2)),
        "reset_secret": (None, ("active", (), 0)),
        "disable": (True, ("disabled", (), 0)),
        "enable": (True, ("active", (), 0)),
        "end_sessions": (2, ("active", (), 0)),
    }[name]
    assert after.position > before.position
    *_, page = audit.events(store.storage, store.vault, Wanted(ADA))
    assert page[-1].actor == ("cli" if by is None else actor_of(BOB))


def test_what_is_so_already_is_no_event(
    store: Store, writer: Writer, administration: Administration
) -> None:
    prepare(writer, "", "admin")
    by = Authority(BOB, ("admin",))
    for name in ("enable", "end_sessions", "end_sessions", "set_permissions", "disable"):
        change(administration, name, ADA, by)
    before = head(store)
    answers = [
        change(administration, name, ADA, by)
        for name in ("disable", "set_permissions", "end_sessions")
    ]
    assert (answers, head(store)) == ([False, None, 0], before)


@EACH
@pytest.mark.parametrize("key", [user_key("nobody"), "ada", ""])
def test_nobody_who_isn_t_there_is_changed(
    store: Store, writer: Writer, administration: Administration, name: str, key: str
) -> None:
    prepare(writer, name, "admin")
    before = head(store)
    for by in (None, Authority(BOB, ("admin",))):
        with pytest.raises(NotFound):
            change(administration, name, key, by)
    assert head(store) == before


def test_an_erased_user_gets_no_secret(administration: Administration) -> None:
    erased = msgspec.structs.replace(item_of(ADA), user_id=None, status="erased")
    with pytest.raises(NotFound):
        asyncio.run(administration.reset_secret(erased, SECRET, None, command_line()))


@pytest.mark.parametrize("secret", ["short", "password1", "x" * 1025, "ecalevol", "LOVELACE"])
def test_a_new_secret_has_to_be_acceptable(
    store: Store, writer: Writer, administration: Administration, secret: str
) -> None:
    operate(writer, register("ada"), log_in("ada", "one"))
    before = head(store)
    user = msgspec.structs.replace(item_of(ADA), user_id="Lovelace")
    with pytest.raises(UnacceptableSecret):
        asyncio.run(administration.reset_secret(user, secret, None, command_line()))
    assert head(store) == before


def test_after_a_new_secret_a_login_with_the_one_before_is_refused(
    writer: Writer, administration: Administration
) -> None:
    """Security rule 17: also one whose secret was looked at before."""
    operate(writer, register("ada"))
    asyncio.run(administration.reset_secret(item_of(ADA), SECRET, None, command_line()))
    answers = writer.commit([log_in("ada", "old"), log_in("ada", "new", secret_version=2)])
    assert isinstance(answers[0], InvalidCredentials)
    assert not isinstance(answers[1], Exception)


# --- the rules hold under the lock


@EACH
@pytest.mark.parametrize("held", ["users:write", "admin"])
def test_who_lost_the_permission_since_the_check_changes_nobody(
    store: Store,
    writer: Writer,
    other: Writer,
    administration: Administration,
    meanwhile: list[Callable[[], object]],
    name: str,
    held: str,
) -> None:
    """Security rule 16: in another process, a moment before the commit."""
    prepare(writer, name, held, "x")
    by = Authority(BOB, (held, "x"))
    change(administration, "enable", BOB, by)  # what Bob may is at hand here from now on
    for lost in (wish(commands.DisableUser(BOB)), permit("bob", "x")):
        meanwhile[:] = [partial(operate, other, lost)]
        with pytest.raises(InsufficientPermission) as refusal:
            change(administration, name, ADA, by)
        assert refusal.value.permission == "users:write"
        operate(other, wish(commands.EnableUser(BOB)))
    meanwhile.clear()
    before = head(store)
    with pytest.raises(InsufficientPermission):
        change(administration, name, ADA, by)
    assert head(store) == before


@EACH
def test_who_became_an_administrator_since_the_check_isn_t_changed_by_less(
    writer: Writer,
    other: Writer,
    administration: Administration,
    meanwhile: list[Callable[[], object]],
    name: str,
) -> None:
    prepare(writer, name, "users:write", "x")
    meanwhile.append(lambda: operate(other, permit("ada", "admin")))
    with pytest.raises(InsufficientPermission) as refusal:
        change(administration, name, ADA, Authority(BOB, ("users:write", "x")))
    assert refusal.value.permission == "admin"


def test_what_was_taken_from_the_asker_isn_t_given(
    store: Store,
    writer: Writer,
    other: Writer,
    administration: Administration,
    directory: Directory,
    meanwhile: list[Callable[[], object]],
) -> None:
    prepare(writer, "", "users:write", "x")
    meanwhile.append(lambda: operate(other, permit("bob", "users:write")))
    with pytest.raises(InsufficientPermission) as refusal:
        change(administration, "set_permissions", ADA, Authority(BOB, ("users:write", "x")))
    assert refusal.value.permission == "x"
    assert find(store, directory, ADA).permissions == ()


# --- the last administrator


def by(asker: str, command: AdministrativeCommand) -> Wish:
    authority = Authority(asker, ("admin",))
    return Wish(msgspec.structs.replace(command, by=authority), meta(actor_of(asker)))


def unmaking(kind: str, key: str) -> AdministrativeCommand:
    return commands.DisableUser(key) if kind == "disable" else commands.SetPermissions(key, ("x",))


def kinds(answers: list[Answer]) -> list[object]:
    return [type(each) if isinstance(each, Exception) else len(each) for each in answers]


def administrators(store: Store, directory: Directory) -> list[str]:
    with store.storage.snapshot() as rows:
        found = directory.page(rows, Part(), 0).items
    return [
        str(item.user_id)
        for item in found
        if item.status == "active" and "admin" in item.permissions
    ]


KINDS = pytest.mark.parametrize("kind", ["disable", "strip"])


@pytest.fixture
def two(writer: Writer) -> None:
    """Ada and Bob are administrators; Cid isn't."""
    operate(writer, register("ada"), register("bob"), register("cid"))
    operate(writer, permit("ada", "admin"), permit("bob", "admin"), permit("cid", "users:write"))


@KINDS
@pytest.mark.usefixtures("two")
def test_of_two_administrators_that_unmake_each_other_in_one_batch_one_stays(
    store: Store, writer: Writer, directory: Directory, kind: str
) -> None:
    answers = writer.commit([by(ADA, unmaking(kind, BOB)), by(BOB, unmaking(kind, ADA))])
    assert kinds(answers) == [1, InsufficientPermission]
    assert administrators(store, directory) == ["ada"]


@KINDS
@pytest.mark.usefixtures("two")
def test_of_two_administrators_that_unmake_themselves_in_one_batch_one_stays(
    store: Store, writer: Writer, directory: Directory, kind: str
) -> None:
    answers = writer.commit([by(each, unmaking(kind, each)) for each in (ADA, BOB)])
    assert kinds(answers) == [1, LastAdministrator]
    assert administrators(store, directory) == ["bob"]


@KINDS
@pytest.mark.usefixtures("two")
def test_who_is_made_an_administrator_in_the_same_batch_counts(
    store: Store, writer: Writer, directory: Directory, kind: str
) -> None:
    answers = writer.commit(
        [
            by(ADA, unmaking(kind, BOB)),
            by(ADA, commands.SetPermissions(CID, ("admin",))),
            by(ADA, unmaking(kind, ADA)),
            by(CID, unmaking(kind, CID)),
        ]
    )
    assert kinds(answers) == [1, 1, 1, LastAdministrator]
    assert administrators(store, directory) == ["cid"]


@pytest.mark.usefixtures("two")
def test_an_administrator_whom_the_batch_doesn_t_touch_counts(
    store: Store, writer: Writer, directory: Directory
) -> None:
    answers = writer_on(store).commit([by(ADA, unmaking("disable", ADA))])
    assert kinds(answers) == [1]
    for kind in ("disable", "strip"):
        assert kinds(writer.commit([by(BOB, unmaking(kind, BOB))])) == [LastAdministrator]
    assert kinds(writer.commit([wish(commands.DisableUser(BOB))])) == [1]
    assert administrators(store, directory) == []


@KINDS
def test_an_administrator_whom_a_whole_batch_doesn_t_touch_counts(
    store: Store, writer: Writer, directory: Directory, kind: str
) -> None:
    """Wherever a look at the administrators finds it: here behind all whom the batch unmakes."""
    *first, last = sorted((f"admin-{number}" for number in range(8)), key=user_key)
    for each in (*first, last):
        operate(writer, register(each), permit(each, "admin"))
    asked = [by(key, unmaking(kind, key)) for key in map(user_key, first)]
    assert kinds(writer.commit(asked)) == [1] * len(first)
    assert administrators(store, directory) == [last]


@pytest.mark.usefixtures("two")
def test_the_last_administrator_may_be_changed_in_other_ways(
    writer: Writer, administration: Administration
) -> None:
    operate(writer, wish(commands.DisableUser(ADA)))
    for command in (
        commands.SetPermissions(BOB, ("admin", "x")),
        commands.ResetSecret(BOB, Clear(HASH)),
        commands.EndSessions(BOB, "admin"),
    ):
        assert kinds(writer.commit([by(BOB, command)])) != [LastAdministrator]


@KINDS
@pytest.mark.usefixtures("two")
def test_of_two_administrators_that_unmake_each_other_in_two_processes_one_stays(
    store: Store, writer: Writer, other: Writer, directory: Directory, kind: str
) -> None:
    """What each has at hand of the other is older than what the other did."""
    for each in (writer, other):
        each.commit([by(ADA, commands.EnableUser(BOB)), by(BOB, commands.EnableUser(ADA))])
    assert kinds(writer.commit([by(ADA, unmaking(kind, BOB))])) == [1]
    assert kinds(other.commit([by(BOB, unmaking(kind, ADA))])) == [InsufficientPermission]
    assert kinds(other.commit([by(ADA, unmaking(kind, ADA))])) == [LastAdministrator]
    assert administrators(store, directory) == ["ada"]


@KINDS
@pytest.mark.usefixtures("two")
def test_two_administrators_that_unmake_each_other_at_the_same_moment_never_both_go(
    store: Store, writer: Writer, other: Writer, directory: Directory, kind: str
) -> None:
    start = threading.Barrier(2, timeout=60)

    def unmake(its: Writer, asker: str, key: str) -> list[Answer]:
        start.wait()
        return its.commit([by(asker, unmaking(kind, key))])

    with ThreadPoolExecutor(2) as pool:
        for _ in range(8):
            askers = ((writer, ADA, BOB), (other, BOB, ADA))
            jobs = [pool.submit(unmake, *asker) for asker in askers]
            answers = [kinds(job.result())[0] for job in jobs]
            assert set(answers) == {1, InsufficientPermission}
            assert administrators(store, directory) == [("ada", "bob")[answers.index(1)]]
            for key, who in ((ADA, "ada"), (BOB, "bob")):
                operate(writer, wish(commands.EnableUser(key)), permit(who, "admin"))
