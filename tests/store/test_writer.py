"""The writer: one batch, one transaction, and a command that can't be stored fails alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from app.eventstore.log import read_newer, read_range
from app.eventstore.record import Record
from app.rebuilding import rebuild_of
from app.store import storage_of
from app.writer import Wish
from domain import commands
from domain.errors import (
    Damage,
    InternalError,
    InvalidCredentials,
    InvalidToken,
    Unavailable,
    UserIdTaken,
)
from domain.sealed import Clear
from domain.stream import Recorded, actor_of
from projections import storage_postgres, storage_sqlite
from projections.live import read_live
from projections.rebuild import Swapped
from projections.registry import PROJECTIONS
from projections.storage import Refused
from tests.store.chain import verify_chain
from tests.store.intruding import intrude, unseal
from tests.store.wishing import (
    HASH,
    end,
    fail,
    log_in,
    meta,
    permit,
    register,
    session_id,
    use,
    user_key,
)

if TYPE_CHECKING:
    from structlog.typing import EventDict

    from app.store import Store
    from app.writer import Answer, Writer
    from tests.store.conftest import MakeWriter, OpenStore


def records(store: Store) -> list[Record]:
    with store.storage.snapshot() as rows:
        found = read_range(rows, 0, 10**6)
        assert verify_chain(rows, store.ring.log) == len(found)
    return found


def count(store: Store, table: str) -> int:
    with store.storage.snapshot() as rows:
        number = rows.fetch(f"SELECT count(*) FROM {table}")[0][0]
    assert isinstance(number, int)
    return number


def names(answer: Answer) -> list[str]:
    assert not isinstance(answer, Exception), answer
    return [each.event.name for each in answer]


def kinds(answers: list[Answer]) -> list[object]:
    return [type(each) if isinstance(each, Exception) else len(each) for each in answers]


# --- one batch


def test_a_batch_is_answered_in_order_with_what_is_stored(store: Store, writer: Writer) -> None:
    answers = writer.commit([register("ada"), register("bob"), log_in("ada", "a"), end("bob", "x")])
    assert [names(each) for each in answers] == [
        ["user.registered"],
        ["user.registered"],
        ["user.logged_in", "refresh_token.issued"],
        [],
    ]
    told: list[Recorded] = [each for answer in answers for each in answer]  # type: ignore[union-attr]
    assert [each.recorded() for each in records(store)[3:]] == told


def test_a_refusal_fails_alone(store: Store, writer: Writer) -> None:
    answers = writer.commit(
        [
            register("ada"),
            log_in("nobody", "n"),
            log_in("ada", "a", secret_version=2),
            use("ada", "never"),
            log_in("ada", "b"),
        ]
    )
    assert kinds(answers) == [1, InvalidCredentials, InvalidCredentials, InvalidToken, 2]
    assert len(records(store)) == 3 + 3


def test_a_name_is_taken_once_even_within_a_batch(store: Store, writer: Writer) -> None:
    assert kinds(writer.commit([register("old", "Ada")])) == [1]
    answers = writer.commit(
        [
            register("a", "ADA"),
            register("b", "Grace"),
            register("c", "ｇｒａｃｅ"),
            register("d", "grace"),
            register("e", "ａda"),
            register("f", "Graçe"),
        ]
    )
    assert kinds(answers) == [UserIdTaken, 1, UserIdTaken, UserIdTaken, UserIdTaken, 1]
    assert count(store, "user_ids") == count(store, "user_directory_v1") == 3
    assert count(store, "user_keys") == 2 * 3


def test_a_refused_name_can_be_had_by_a_user_key_later(store: Store, writer: Writer) -> None:
    assert kinds(writer.commit([register("a", "ada"), register("b", "ada")])) == [1, UserIdTaken]
    assert kinds(writer.commit([register("b", "bob")])) == [1]


def test_rows_of_a_wish_go_in_with_its_events_or_not_at_all(
    store: Store, writer: Writer, database_url: str
) -> None:
    with intrude(database_url) as intruder:
        intruder.run("CREATE TABLE beside (of TEXT)")
    writer.commit([register("ada")])
    row = ("INSERT INTO beside (of) VALUES (?)", ("ada",))
    wishes = [log_in("ada", "a"), end("ada", "never"), log_in("nobody", "n")]
    for wish in wishes:
        wish.rows = (row,)
    assert kinds(writer.commit(wishes)) == [2, 0, InvalidCredentials]
    assert count(store, "beside") == 1


# --- other writers


def test_a_cached_state_is_brought_up_to_what_another_writer_stored(
    store: Store, writer: Writer, opened: OpenStore, make_writer: MakeWriter
) -> None:
    other = make_writer(opened())
    writer.commit([register("ada"), log_in("ada", "a"), log_in("ada", "b")])
    assert kinds(other.commit([end("ada", "a")])) == [1]
    assert kinds(writer.commit([use("ada", "a"), use("ada", "b")])) == [InvalidToken, 1]
    assert kinds(other.commit([end("ada", "b"), permit("ada", "admin")])) == [1, 1]
    answers = writer.commit([use("ada", "b", "every"), permit("ada", "admin"), log_in("ada", "c")])
    assert kinds(answers) == [InvalidToken, 0, 2]
    mine = [each for each in records(store) if each.stream == user_key("ada")]
    assert [each.version for each in mine] == list(range(1, len(mine) + 1))


def test_a_name_that_another_writer_gave_is_taken(
    writer: Writer, opened: OpenStore, make_writer: MakeWriter
) -> None:
    writer.commit([register("warm up")])
    assert kinds(make_writer(opened()).commit([register("a", "ada")])) == [1]
    assert kinds(writer.commit([register("b", "Ada"), register("c")])) == [UserIdTaken, 1]


def test_a_user_that_another_writer_registered_can_log_in(
    writer: Writer, opened: OpenStore, make_writer: MakeWriter
) -> None:
    assert kinds(writer.commit([log_in("ada", "early")])) == [InvalidCredentials]
    make_writer(opened()).commit([register("ada")])
    assert kinds(writer.commit([log_in("ada", "a")])) == [2]


def test_a_person_key_deleted_elsewhere_is_not_used_again(
    store: Store, writer: Writer, database_url: str
) -> None:
    writer.commit([register("ada"), register("bob"), log_in("ada", "a")])
    with intrude(database_url) as intruder:
        intruder.run("DELETE FROM user_keys WHERE user_key = ?", (user_key("ada"),))
        intruder.run("UPDATE store SET generation = generation + 1")
    by_ada = permit("bob", "x")
    by_ada.meta = msgspec.structs.replace(by_ada.meta, actor=actor_of(user_key("ada")))
    answers = writer.commit([log_in("ada", "b"), by_ada, log_in("bob", "b")])
    assert kinds(answers) == [Damage, 1, 2]
    assert not isinstance(answers[1], Exception)
    assert answers[1][0].meta.origin is None


# --- one command that can't be stored


def register_with(who: str, secret_hash: object) -> Wish:
    return Wish(commands.RegisterUser(user_key(who), Clear(who), secret_hash), meta())  # type: ignore[arg-type]


UNENCODABLE = {
    "a lone surrogate": register("poisoned", secret_hash="\ud800"),
    "a sealed value where a clear one is due": register_with("poisoned", HASH.encode()),
    "no value": register_with("poisoned", None),
    "a number that is none": fail("ada", object()),  # type: ignore[arg-type]
    "a name that nobody prepared": register("poisoned", "\ud800"),
    "an actor that is not text": Wish(
        commands.SetPermissions(user_key("ada"), ("x",)), meta("\ud800")
    ),
    "a session of no text": Wish(
        commands.StartSession(user_key("ada"), "\udfff", "secret", 1), meta()
    ),
}


@pytest.mark.parametrize("poison", UNENCODABLE.values(), ids=UNENCODABLE)
def test_a_command_that_can_t_be_encoded_fails_alone(
    store: Store, writer: Writer, poison: Wish, log_lines: list[EventDict]
) -> None:
    writer.commit([register("ada")])
    before = len(records(store))
    answers = writer.commit(
        [register("bob"), log_in("ada", "a"), poison, register("cy", "ADA"), log_in("bob", "b")]
    )
    assert kinds(answers) == [1, 2, InternalError, UserIdTaken, 2]
    assert len(records(store)) == before + 5
    assert [line["event"] for line in log_lines if line["log_level"] == "error"]
    assert kinds(writer.commit([register("poisoned")])) == [1]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("user_directory_v1", "user_key"),
        ("events", "stream"),
        ("user_keys", "user_key"),
        ("user_ids", "user_key"),
    ],
)
def test_a_command_that_the_database_refuses_fails_alone(
    store: Store, writer: Writer, database_url: str, table: str, column: str
) -> None:
    writer.commit([register("ada")])
    batch = [
        register("bob"),
        log_in("ada", "a"),
        register("poisoned"),
        register("cy", "ADA"),
        log_in("poisoned", "p"),
        log_in("bob", "b"),
        register("dee"),
    ]
    with intrude(database_url) as intruder:
        intruder.refuse(table, column, user_key("poisoned"))
        answers = writer.commit(batch)
        expected = [1, 2, InternalError, UserIdTaken, InvalidCredentials, 2, 1]
        assert kinds(answers) == expected
        assert len(records(store)) == 3 + 1 + 6
        assert count(store, "user_directory_v1") == count(store, "user_ids") == 3
        assert count(store, "user_keys") == 6
        intruder.relent(table)
    assert kinds(writer.commit([batch[2], batch[4]])) == [1, 2]


def test_a_command_whose_view_refuses_it_leaves_its_session_out_everywhere(
    store: Store, writer: Writer, database_url: str
) -> None:
    writer.commit([register("ada"), register("bob")])
    with intrude(database_url) as intruder:
        intruder.refuse("token_lookup_v1", "session_id", session_id("bob", "p"))
        answers = writer.commit([log_in("ada", "a"), log_in("bob", "p"), log_in("bob", "b")])
    assert kinds(answers) == [2, InternalError, 2]
    assert not [each for each in records(store) if session_id("bob", "p").encode() in each.clear]
    with store.storage.snapshot() as rows:
        head = rows.fetch("SELECT max(position) FROM events")[0]
        inline = "SELECT DISTINCT position FROM views WHERE position > 0"
        assert rows.fetch(inline) == [head]


def test_a_transaction_with_a_refused_statement_is_never_taken_for_committed(
    postgres_url: str,
) -> None:
    storage = storage_of(postgres_url)
    with storage.transaction() as rows:
        rows.execute("CREATE TABLE one (of TEXT)")
        with pytest.raises(Refused):
            rows.fetch("SELECT another FROM one")
        with pytest.raises(Refused):
            rows.commit()
    with storage.transaction() as rows:
        assert not rows.has_table("one")
    storage.close()


# --- streams that can't be read


def write_past_the_code(
    store: Store, topic: str, schema: int, clear: bytes, *, keeps: bool = True
) -> None:
    """Append an event to Ada's stream, as a newer release or a broken one would.

    `keeps` says that it keeps the views.
    """
    with store.log.append() as append:
        version = read_newer(append.rows, {user_key("ada"): 0})[-1].version + 1
        position, now = append.head.position + 1, append.now()
        record = Record(position, user_key("ada"), version, topic, schema, now, clear, None)
        append.write([record])
        if keeps:
            sql = "UPDATE views SET position = ? WHERE position = ?"
            append.rows.execute(sql, (position, position - 1))
        append.rows.commit()


WELL = b'{"v":1,"actor":"system","request_id":"0","data":{}}'
UNREADABLE = {
    "an unknown topic": ("user.renamed", 1, WELL, Unavailable),
    "a newer schema": ("user.disabled", 2, WELL, Unavailable),
    "no JSON": ("user.disabled", 1, b"{", Damage),
    "an unknown member": ("user.disabled", 1, WELL.replace(b"{}", b'{"x":1}'), Damage),
    "a missing member": ("user.logged_in", 1, WELL, Damage),
}


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("row", UNREADABLE.values(), ids=UNREADABLE)
def test_a_stream_that_can_t_be_read_fails_alone(
    store: Store,
    writer: Writer,
    make_writer: MakeWriter,
    row: tuple[str, int, bytes, type[Exception]],
    cached: bool,
) -> None:
    """Security rule 28."""
    topic, schema, clear, expected = row
    writer.commit([register("ada"), register("bob"), log_in("ada", "a")])
    write_past_the_code(store, topic, schema, clear)
    if not cached:
        writer = make_writer(store)
    before = len(records(store))
    for n in range(2):
        answers = writer.commit(
            [log_in("bob", f"b{n}"), log_in("ada", f"x{n}"), permit("ada", f"p{n}"), fail("bob")]
        )
        assert kinds(answers) == [2, expected, expected, 1]
    assert len(records(store)) == before + 6


def test_an_event_damaged_in_place_fails_its_stream_alone(
    store: Store, writer: Writer, make_writer: MakeWriter
) -> None:
    """Security rule 28."""
    writer.commit([register("ada"), register("bob"), log_in("ada", "a")])
    with store.storage.transaction() as rows:
        unseal(rows, store.storage.kind)
        rows.execute(
            "UPDATE events SET sealed = ? WHERE stream = ? AND version = 1",
            (b"\xc1", user_key("ada")),
        )
        rows.commit()
    answers = make_writer(store).commit([log_in("ada", "b"), log_in("bob", "b")])
    assert kinds(answers) == [Damage, 2]


def test_a_missing_person_key_is_damage_for_its_user_alone(
    store: Store, writer: Writer, make_writer: MakeWriter, database_url: str
) -> None:
    writer.commit([register("ada"), register("bob")])
    with intrude(database_url) as intruder:
        intruder.run("DELETE FROM user_keys WHERE user_key = ?", (user_key("ada"),))
    answers = make_writer(store).commit([log_in("ada", "a"), log_in("bob", "b")])
    assert kinds(answers) == [Damage, 2]


def test_a_changed_person_key_fails_its_user_alone(
    writer: Writer, store: Store, make_writer: MakeWriter, database_url: str
) -> None:
    writer.commit([register("ada"), register("bob")])
    with intrude(database_url) as intruder:
        intruder.run(
            "UPDATE user_keys SET wrapped = substr(wrapped, 2) WHERE user_key = ?",
            (user_key("ada"),),
        )
    ada, bob = make_writer(store).commit([log_in("ada", "a"), log_in("bob", "b")])
    assert isinstance(ada, InternalError)
    assert kinds([bob]) == [2]


# --- the lock is somebody else's


def test_a_lock_held_by_another_is_unavailable_until_it_ends(
    opened: OpenStore,
    make_writer: MakeWriter,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: list[EventDict],
) -> None:
    monkeypatch.setattr(storage_sqlite, "LOCK_DEADLINE", 0.05)
    session = storage_postgres.SESSION.replace("lock_timeout=5000", "lock_timeout=50")
    monkeypatch.setattr(storage_postgres, "SESSION", session)
    # Else it would be ended, since it says nothing.
    monkeypatch.setattr(storage_postgres, "_END_SILENT_HOLDER", "SELECT 1")
    store, other = opened(), opened()
    writer = make_writer(store)
    assert kinds(writer.commit([register("ada")])) == [1]
    before = len(records(store))
    with other.storage.transaction():
        answers = writer.commit([log_in("ada", "a"), register("bob")])
        assert kinds(answers) == [Unavailable, Unavailable]
        assert [line["event"] for line in log_lines] == ["store_unavailable"]
        assert len(records(store)) == before
    assert kinds(writer.commit([log_in("ada", "a"), register("bob")])) == [2, 1]


def test_an_inline_view_that_missed_an_event_is_not_written_past_it(
    store: Store, writer: Writer, log_lines: list[EventDict]
) -> None:
    """Nothing is stored until each was rebuilt, and nothing is lost."""
    writer.commit([register("ada")])
    write_past_the_code(store, "user.disabled", 1, WELL, keeps=False)
    before = records(store)
    told = (
        f"The view user_directory is at {len(before) - 1}, the log at {len(before)}: a release "
        "that doesn't keep it has written. Run: gatebook projections rebuild user_directory"
    )
    for _ in range(2):
        answers = writer.commit([register("bob"), log_in("ada", "a")])
        assert {type(answer) for answer in answers} == {Unavailable}
        assert {str(answer) for answer in answers} == {told}
    assert records(store) == before
    assert count(store, "user_keys") == 2
    assert {line["event"] for line in log_lines} == {"view_missed_events"}
    for name in ("user_directory", "token_lookup", "revocations"):
        (refused,) = writer.commit([register("bob")])
        assert f"The view {name} is at" in str(refused)
        rebuild = rebuild_of(store.storage)
        assert isinstance(rebuild.run(rebuild.begin(name)), Swapped)
    (answer,) = writer.commit([register("bob")])
    assert isinstance(answer, tuple), answer


def test_right_after_a_swap_a_view_is_where_the_log_ends(store: Store, writer: Writer) -> None:
    """Its pointer was written by somebody else, at whatever head there was."""
    writer.commit([register("ada")])
    for number in range(3):
        rebuild = rebuild_of(store.storage)
        assert isinstance(rebuild.run(rebuild.begin("token_lookup")), Swapped)
        (answer,) = writer.commit([log_in("ada", str(number))])
        assert isinstance(answer, tuple), answer
    with store.storage.snapshot() as rows:
        positions = {each.position for each in read_live(rows, PROJECTIONS).pointers.values()}
    assert positions == {0, len(records(store))}
