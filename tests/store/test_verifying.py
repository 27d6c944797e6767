"""Proving a store: what is wrong is found and named, and nothing else is."""

from __future__ import annotations

import base64
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import pytest

from app.eventstore import snapshot
from app.eventstore.feed import LogFeed
from app.store import UnusableStore
from app.vault import PERSON_KEYS, Vault, Wrapped
from app.verifying import findings
from app.verifying.findings import Finding, Findings
from app.verifying.guards import check_guards
from app.verifying.log import Noted
from app.verifying.store import Report, verify_log, verify_store
from domain.errors import InvalidRequest
from domain.user import User
from projections.daily_activity import DailyActivity
from projections.registry import PROJECTIONS
from projections.runner import Follower
from tests.faults.holding import holds
from tests.prove import verified
from tests.prove.verified import look
from tests.store.intruding import unseal
from tests.store.living import Life, follow
from tests.store.wishing import commit, log_in, permit, register, user_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.store import Store
    from app.writer import Writer
    from domain.stream import Recorded
    from projections.storage import Rows, Value

ADA: Final = user_key("ada")
BEN: Final = user_key("ben")
HEAD: Final = 13
"""Of the log that `lived` begins with."""

Damage = tuple[str, tuple["Value", ...]]


@pytest.fixture
def lived(store: Store, writer: Writer) -> Store:
    """Ada and Ben, of whom Ada was erased."""
    commit(writer, [register("ada"), register("ben"), log_in("ada", "1"), log_in("ben", "1")])
    commit(writer, [permit("ben", "a", "b"), permit("ada", "c")])
    Life(store, random.Random(1)).erase("ada")
    return store


def damage(store: Store, *statements: Damage) -> None:
    with store.storage.transaction() as rows:
        unseal(rows, store.storage.kind)
        for sql, params in statements:
            rows.execute(sql, params)
        rows.commit()


def told(report: Report, table: str) -> dict[str, str]:
    """What was found in a table, by key."""
    return {each.key: each.detail for each in report.findings if each.table == table}


def test_nothing_is_found_in_an_honest_store_with_somebody_erased(lived: Store) -> None:
    report = look(lived)
    assert report.findings == []
    assert report.ok
    assert report.log_id == lived.log_id
    assert report.head == HEAD
    assert set(report.digests) >= {"user_directory", "token_lookup", "revocations"}
    alone = look(lived, work=verify_log)
    assert (alone.ok, alone.head, alone.root, alone.digests) == (True, HEAD, report.root, {})


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_found_after_a_random_life(store: Store, seed: int) -> None:
    life = Life(store, random.Random(seed))
    life.begin()
    life.go_on(80)
    assert look(store).findings == []


def test_a_changed_byte_is_found_and_named_wherever_it_is(database_url: str) -> None:
    """In its short form; also rows swapped, removed, inserted, and an older copy."""
    holds(verified, database_url)


def test_one_changed_event_makes_no_finding_of_those_after_it(lived: Store) -> None:
    before = look(lived, work=verify_log)
    damage(lived, ("UPDATE events SET time = time + 1 WHERE position = 5", ()))
    found = look(lived, work=verify_log)
    assert [each.key for each in found.findings] == ["5"]
    assert found.root != before.root


def test_a_changed_chain_is_the_finding_of_its_own_row_alone(lived: Store) -> None:
    damage(lived, ("UPDATE events SET chain = ? WHERE position = 5", (bytes(32),)))
    assert [each.key for each in look(lived).findings] == ["5"]


def test_a_removed_event_is_a_gap_in_the_log_and_in_its_stream(lived: Store) -> None:
    damage(lived, ("DELETE FROM events WHERE position IN (6, 7)", ()))
    found = told(look(lived, work=verify_log), "events")
    assert found["6"].startswith("Missing: 6 to 7.")
    assert set(found) == {"6", "11"}
    assert found["11"] == f"This is version 4 of {ADA}, after version 1."


def test_an_event_of_a_newer_release_is_said_to_be_one(lived: Store) -> None:
    with lived.log.append() as append:
        record = lived.log.read_proved(append.rows, "log")[0]
        later = record._replace(
            position=append.head.position + 1, version=2, topic="log.moved", time=append.now()
        )
        append.write([later])
        move = "UPDATE views SET position = ? WHERE position > 0"
        append.rows.execute(move, (later.position,))
        append.rows.commit()
    (found,) = look(lived).findings
    assert found == Finding(
        "events",
        "14",
        "A newer release wrote event log.moved version 1 at position 14, which this one can't "
        "read. Upgrade it.",
    )


def test_an_event_that_we_wrote_and_can_t_read_is_found(lived: Store) -> None:
    with lived.log.append() as append:
        record = lived.log.read_proved(append.rows, "log")[0]
        head = append.head.position
        append.write(
            [record._replace(position=head + 1, version=2, clear=b"{}", time=append.now())]
        )
        append.rows.commit()
    found = look(lived, work=verify_log)
    assert "can't be read" in told(found, "events")["14"]


def test_a_time_that_goes_back_and_a_version_out_of_turn_are_found(lived: Store) -> None:
    damage(lived)
    with lived.log.append() as append:
        record = lived.log.read_proved(append.rows, "log")[0]
        append.write([record._replace(position=14, version=3, time=1)])
        append.rows.commit()
    details = [each.detail for each in look(lived, work=verify_log).findings]
    assert details == [
        "This is version 3 of log, after version 1.",
        "This event has an earlier time than one before it.",
    ]


def test_a_person_s_missing_key_is_found_unless_the_person_was_erased(lived: Store) -> None:
    damage(lived, ("DELETE FROM user_keys WHERE user_key = ? AND version = 0", (BEN,)))
    found = look(lived)
    assert told(found, "user_keys") == {
        f"{BEN} 0": "Missing, though nobody erased it: needed at position 5."
    }


@pytest.mark.parametrize("length", [0, 1, 8, 20])
def test_a_key_that_was_cut_off_is_found_and_the_look_goes_on(lived: Store, length: int) -> None:
    cut = "UPDATE user_keys SET wrapped = substr(wrapped, 1, ?) WHERE user_key = ? AND version = 0"
    damage(lived, (cut, (length, BEN)))
    found = look(lived)
    assert "was changed" in told(found, "user_keys")[f"{BEN} 0"]
    assert len(told(found, "user_keys")) == 1


def test_a_secret_s_missing_key_is_found_unless_the_secret_was_replaced(lived: Store) -> None:
    life = Life(lived, random.Random(2))
    life.begin()
    life.go_on(60)
    assert look(lived).ok
    damage(lived, ("DELETE FROM user_keys WHERE user_key = ? AND version > 0", (BEN,)))
    assert told(look(lived), "user_keys") == {
        f"{BEN} 1": "Missing: the newest secret can't be read."
    }


def test_what_is_left_of_an_erased_person_is_found(lived: Store) -> None:
    key, wrapped = lived.vault.new_user_key_row(ADA, 0)
    del key
    damage(
        lived,
        ("INSERT INTO user_keys VALUES (?, 0, ?, ?)", (ADA, *wrapped)),
        ("INSERT INTO user_ids VALUES (?, ?)", (b"mac", ADA)),
        ("INSERT INTO known_networks VALUES (?, ?, 1)", (ADA, b"mac")),
    )
    found = look(lived)
    assert "erased" in told(found, "user_keys")[f"{ADA} 0"]
    assert "erased" in told(found, "user_ids")[b"mac".hex()]
    assert "erased" in told(found, "known_networks")[ADA]


def test_a_key_that_was_to_be_forgotten_and_is_there_is_found(lived: Store) -> None:
    _, wrapped = lived.vault.new_user_key_row(ADA, 0)
    damage(lived, ("INSERT INTO user_keys VALUES (?, -9, ?, ?)", (ADA, *wrapped)))
    assert set(told(look(lived), "user_keys")) == {f"{ADA} -9"}


def test_a_reservation_of_another_name_and_a_missing_one_are_found(lived: Store) -> None:
    damage(lived, ("UPDATE user_ids SET name_mac = ?", (b"another",)))
    assert told(look(lived), "user_ids") == {
        b"another".hex(): f"{BEN} has another name in the log."
    }
    damage_more(lived, ("DELETE FROM user_ids", ()))
    ((_, detail),) = told(look(lived), "user_ids").items()
    assert detail == f"Missing: the name of {BEN} isn't reserved."


def damage_more(store: Store, *statements: Damage) -> None:
    """What no trigger guards, or is unsealed already."""
    with store.storage.transaction() as rows:
        for sql, params in statements:
            rows.execute(sql, params)
        rows.commit()


def test_signing_keys_are_those_of_the_log(lived: Store) -> None:
    with lived.storage.snapshot() as rows:
        ((name,),) = rows.fetch("SELECT name FROM ring_keys WHERE name LIKE 'signing %'")
    other = lived.vault.new_ring_key("signing other")
    damage_more(lived, ("INSERT INTO ring_keys VALUES (?, ?, ?)", other))
    assert set(told(look(lived), "ring_keys")) == {"signing other"}
    swapped = lived.vault.new_ring_key(str(name), b"no key of ours")
    damage_more(lived, ("UPDATE ring_keys SET wrapped = ? WHERE name = ?", (swapped[2], name)))
    assert set(told(look(lived), "ring_keys")) == {"signing other", name}
    damage_more(lived, ("DELETE FROM ring_keys WHERE name = ?", (name,)))
    assert "missing" in told(look(lived), "ring_keys")[str(name)]


def test_without_the_key_of_the_chain_everything_else_is_proved(lived: Store) -> None:
    damage(
        lived,
        ("UPDATE ring_keys SET wrapped = ? WHERE name = 'log'", (b"\x01" * 60,)),
        ("UPDATE user_directory_v1 SET permissions = 'admin' WHERE user_key = ?", (BEN,)),
    )
    found = look(lived)
    assert [(each.table, each.key) for each in found.findings] == [
        ("ring_keys", "log"),
        ("user_directory_v1", BEN),
    ]
    assert found.findings[1].detail == "Otherwise than in the log: permissions."


def test_another_master_key_is_refused_and_nothing_is_found(lived: Store) -> None:
    with (
        lived.storage.snapshot() as rows,
        pytest.raises(UnusableStore, match="isn't the one given"),
    ):
        verify_store(rows, Vault(bytes(32)), None, lambda _: None)


def test_the_store_s_own_row_is_that_of_the_log(lived: Store) -> None:
    damage(lived, ("UPDATE store SET log_id = 'another', format = 7, generation = 0", ()))
    details = [each.detail for each in look(lived).findings if each.table == "store"]
    assert len(details) == 3
    damage_more(lived, ("DELETE FROM store", ()))
    assert [each.detail for each in look(lived).findings] == ["The store has 0 rows of its own."]


def test_pointers_of_views_are_checked(lived: Store) -> None:
    damage_more(
        lived,
        ("DELETE FROM views WHERE name = 'revocations'", ()),
        ("UPDATE views SET version = 2 WHERE name = 'token_lookup'", ()),
        ("UPDATE views SET position = 3 WHERE name = 'user_directory'", ()),
        ("INSERT INTO views (name, version, position) VALUES ('gossip', 1, 3)", ()),
    )
    assert set(told(look(lived), "views")) == {
        "revocations",
        "token_lookup",
        "user_directory",
        "gossip",
    }


def test_a_state_that_we_sealed_and_that_is_wrong_is_found(lived: Store) -> None:
    life = Life(lived, random.Random(3))
    life.begin()
    busy = user_key("person0.busy")
    assert look(lived).ok
    with lived.storage.transaction() as rows:
        ((_, master_id, blob),) = rows.fetch(PERSON_KEYS % "?", (busy,))
        key = lived.vault.unwrap_user_key(busy, 0, Wrapped.of(master_id, blob))
        snapshot.keep(rows, busy, User(100, "active", permissions=("admin",)), key)
        rows.commit()
    ((key_, detail),) = told(look(lived), "snapshots").items()
    assert key_ == f"{busy} 100"
    assert "isn't what the events add up to" in detail


def test_a_noted_root_is_extended_or_not(lived: Store, writer: Writer) -> None:
    first = look(lived, work=verify_log)
    noted = Noted(first.head, first.root)
    commit(writer, [log_in("ben", "2")])
    for work in (verify_log, verify_store):
        assert look(lived, noted, work).ok
        assert look(lived, Noted(0, look_empty()), work).ok
        (found,) = look(lived, Noted(first.head - 1, first.root), work).findings
        assert (found.table, found.key) == ("events", str(first.head - 1))
        (late,) = look(lived, Noted(first.head + 3, first.root), work).findings
        assert late.detail.startswith(f"The log ends at {first.head + 2}, before")


def look_empty() -> str:
    """The root of nothing."""
    return "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("text", ["", "7", "7:abc", "x:" + "0" * 64, "7:" + "g" * 64])
def test_what_is_no_noted_root_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="POSITION:ROOT"):
        Noted.of(text)
    assert Noted.of(" 7:" + "AB" * 32) == Noted(7, "ab" * 32)


def test_too_many_findings_are_counted(lived: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "KEPT", 2)
    damage(lived, ("UPDATE events SET time = time + 1", ()))
    found = look(lived, work=verify_log).findings
    assert len(found) == 3
    assert found[2].detail.endswith("findings more.")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("clear", "text"),
        ("sealed", 7),
        ("stream", b"bytes"),
        ("schema", b"bytes"),
        ("time", "later"),
        ("version", b"one"),
        ("chain", "text"),
        ("topic", 3),
    ],
)
def test_a_column_may_hold_what_it_must_not(
    opened: Callable[..., Store], sqlite_url: str, column: str, value: Value
) -> None:
    store = opened(sqlite_url)
    damage(store, (f"UPDATE events SET {column} = ? WHERE position = 2", (value,)))
    for work in (verify_log, verify_store):
        assert "2" in told(look(store, work=work), "events")


def test_bytes_that_are_spelled_as_text_are_found(
    opened: Callable[..., Store], sqlite_url: str
) -> None:
    """Their record has the same canonical bytes, and so the same chain."""
    store = opened(sqlite_url)
    with store.storage.snapshot() as rows:
        ((clear,),) = rows.fetch("SELECT clear FROM events WHERE position = 2")
    assert isinstance(clear, bytes)
    text = base64.b64encode(clear).decode()
    damage(store, ("UPDATE events SET clear = ? WHERE position = 2", (text,)))
    assert "2" in told(look(store), "events")


def test_text_that_is_no_text_is_found(opened: Callable[..., Store], sqlite_url: str) -> None:
    store = opened(sqlite_url)
    damage(store, ("UPDATE events SET topic = CAST(x'FF' AS TEXT) WHERE position = 2", ()))
    assert "2" in told(look(store), "events")


def test_a_wrapped_key_s_first_byte_counts(lived: Store) -> None:
    with lived.storage.snapshot() as rows:
        ((blob,),) = rows.fetch("SELECT wrapped FROM ring_keys WHERE name = 'network'")
    assert isinstance(blob, bytes)
    changed = b"\x02" + blob[1:]
    damage_more(lived, ("UPDATE ring_keys SET wrapped = ? WHERE name = 'network'", (changed,)))
    assert set(told(look(lived), "ring_keys")) == {"network"}


@pytest.mark.parametrize(
    "change",
    ["stalled = 1", "error_position = 3, error_type = 'rebuild.differs', error_detail = 'x'"],
)
def test_a_view_that_is_written_with_the_events_is_never_stopped(lived: Store, change: str) -> None:
    damage(lived, (f"UPDATE views SET {change} WHERE name = 'token_lookup'", ()))
    assert list(told(look(lived), "views")) == ["token_lookup"]


def test_a_view_that_stopped_is_noted_with_where_and_what_to_run(
    lived: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = DailyActivity.apply

    def refuse(projection: DailyActivity, rows: Rows, batch: Sequence[Recorded]) -> None:
        if any(each.position >= 11 for each in batch):
            raise ValueError
        apply(projection, rows, batch)

    assert [each.detail for each in look(lived).notes] == [
        "It is at 0, the log at 13: a running service brings it there."
    ]
    monkeypatch.setattr(DailyActivity, "apply", refuse)
    stopped = Follower(lived.storage, LogFeed(), PROJECTIONS).catch_up()["daily_activity"]
    monkeypatch.undo()
    report = look(lived)
    assert report.findings == []
    assert report.notes == [
        Finding(
            "views",
            "daily_activity",
            f"It stopped at {stopped.position} ({stopped.type}), the log is at 13: no service "
            "brings it there. Run: gatebook projections retry",
        )
    ]


def test_a_view_that_is_said_to_have_stopped_where_the_log_ends_is_found(lived: Store) -> None:
    follow(lived.storage)
    assert (look(lived).findings, look(lived).notes) == ([], [])
    damage(lived, ("UPDATE views SET stalled = 1 WHERE name = 'daily_activity'", ()))
    assert told(look(lived), "views") == {
        "daily_activity": "It is said to have stopped, though no event is after it. "
        "Run: gatebook projections retry"
    }


def test_a_kept_digest_is_that_of_the_log(lived: Store) -> None:
    right = look(lived).digests["token_lookup"]
    keep = "UPDATE views SET digest = ?, digest_position = ? WHERE name = 'token_lookup'"
    damage(lived, (keep, (right, HEAD)))
    assert look(lived).findings == []
    with lived.storage.transaction() as rows:
        rows.execute(keep, (f"sha256:{'0' * 64}", HEAD))
        rows.commit()
    found = "The digest that is kept of position 13 isn't that of the log."
    assert told(look(lived), "views") == {"token_lookup": found}
    with lived.storage.transaction() as rows:
        rows.execute(keep, (right, HEAD))
        rows.execute("UPDATE token_lookup_v1 SET user_key = 'somebody'")
        rows.commit()
    assert told(look(lived), "views") == {}
    with lived.storage.transaction() as rows:
        rows.execute(keep, (f"sha256:{'0' * 64}", HEAD - 1))
        rows.commit()
    assert told(look(lived), "views") == {}, "of another moment nothing is known"


GUARDS: Final = {
    "sqlite": {
        "events events_never_go: Missing": ("DROP TRIGGER events_never_go",),
        "events events_are_dense: This guard is otherwise": (
            "DROP TRIGGER events_are_dense",
            "CREATE TRIGGER events_are_dense BEFORE INSERT ON events BEGIN SELECT 1; END",
        ),
        "user_ids thief: Too many": (
            "CREATE TRIGGER thief AFTER DELETE ON user_ids BEGIN SELECT 1; END",
        ),
    },
    "postgresql": {
        "events events_never_change: Missing": ("DROP TRIGGER events_never_change ON events",),
        "events events_never_change: This guard is otherwise": (
            "DROP TRIGGER events_never_change ON events",
            (
                "CREATE TRIGGER events_never_change BEFORE DELETE OR TRUNCATE ON events "
                "FOR EACH STATEMENT EXECUTE FUNCTION gatebook_refuse()"
            ),
        ),
        "events events_never_change: This guard is otherwise than it was": (
            (
                "CREATE OR REPLACE FUNCTION gatebook_refuse() RETURNS trigger LANGUAGE plpgsql "
                "AS $$ BEGIN RETURN NULL; END $$"
            ),
        ),
        "events events_never_change: This guard is switched off": (
            "ALTER TABLE events DISABLE TRIGGER events_never_change",
        ),
        "user_ids thief: Too many": (
            (
                "CREATE TRIGGER thief AFTER DELETE ON user_ids "
                "FOR EACH STATEMENT EXECUTE FUNCTION gatebook_refuse()"
            ),
        ),
        "events quiet: Too many": ("CREATE RULE quiet AS ON INSERT TO events DO ALSO SELECT 1",),
    },
}


def test_guards_that_are_missing_changed_or_too_many_are_found(lived: Store) -> None:
    kind = lived.storage.kind

    def guards() -> list[str]:
        with lived.storage.snapshot() as rows:
            found = verify_store(rows, lived.vault, None, lambda _: None, kind).findings
        return [f"{each.key}: {each.detail}" for each in found if each.table == "triggers"]

    assert guards() == []
    for expected, statements in GUARDS[kind].items():
        with suppress(Undone), lived.storage.transaction() as rows:
            for statement in statements:
                rows.define(statement)
            found = Findings()
            check_guards(rows, kind, found)
            (one,) = found.told()
            assert f"{one.key}: {one.detail}".startswith(expected)
            raise Undone
    assert guards() == []


class Undone(Exception):
    """What was changed isn't to stay."""
