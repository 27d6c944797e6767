"""Every store that a release has written opens with today's code, and says what it said then."""

from __future__ import annotations

import base64
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import argon2
import msgspec
import pytest

from app.eventstore import snapshot
from app.eventstore.log import read_head, read_range
from app.store import UnusableStore, open_store, storage_of
from app.tokens.key_ring import KeyRing
from app.vault import (
    NAMES_TAKEN,
    PERSON,
    PERSON_KEYS,
    Vault,
    Wrapped,
    name_mac,
    open_sealed,
)
from app.verifying.store import verify_store
from app.writer import Wish, Writer
from domain import commands
from domain.aggregate import USER, aggregate_of
from domain.catalogue import EVENTS
from domain.errors import InvalidCredentials, InvalidToken, NotFound
from domain.events import KeyAlgorithm, LogOpened, LogRestored
from domain.policy import Policy
from domain.sealed import Clear
from domain.stream import Meta, actor_of, is_user_stream, user_key_of
from domain.user_id import prepare
from projections.live import read_live, read_pointers
from projections.registry import PROJECTIONS
from projections.storage_sqlite import SqliteStorage
from projections.user_directory import CREDENTIAL_BY_NAME, CredentialRow
from tests.projections.conftest import empty_views
from tests.projections.history import fill, whole
from tests.store.chain import verify_chain
from tests.store.conftest import MASTER
from tests.store.wishing import seeded, user_key
from tests.stores import make
from tests.stores.kept import HERE, KEPT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.store import Store
    from domain.stream import Recorded
    from projections.storage import Rows
    from tests.stores.kept import Kept

ALGORITHM: Final[KeyAlgorithm] = "ES256"

URLS: Final = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}
"""Which fixture has an empty database of a kind."""

_EMPTIED: Final = "SELECT version FROM user_keys WHERE user_key = ? AND version < 0"

Found = tuple["Store", make.Expected]


@pytest.fixture(params=KEPT, ids=lambda each: f"{each.release}-{each.kind}")
def kept(request: pytest.FixtureRequest) -> Iterator[Found]:
    """Of a copy: the store, and what is true of it."""
    one: Kept = request.param
    url: str = request.getfixturevalue(URLS[one.kind])
    one.copy_to(url)
    store = open_store(storage_of(url), Vault(one.master_key), ALGORITHM)
    yield store, one.expected
    store.storage.close()


def history_of(rows: Rows) -> list[Recorded]:
    return [each.recorded() for each in read_range(rows, 0, 10**6)]


def person_key(store: Store, rows: Rows, of: str) -> bytes:
    ((_, master_id, blob),) = rows.fetch(PERSON_KEYS % "?", (of,))
    assert isinstance(blob, bytes)
    return store.vault.unwrap_user_key(of, PERSON, Wrapped(str(master_id), blob))


def test_there_is_a_store_of_each_kind_from_every_release() -> None:
    releases = {each.release for each in KEPT}
    assert {each.parent.name for each in HERE.glob("v*/*")} == releases
    assert releases >= {"v0_1", "v0_1_sessions", "v0_1_whole"}
    assert {(each.release, each.kind) for each in KEPT} == {
        (release, kind) for release in releases for kind in ("sqlite", "postgresql")
    }


@pytest.mark.parametrize("kind", URLS)
def test_every_event_of_the_catalogue_is_in_a_kept_store(kind: str) -> None:
    of_kind = [each.expected for each in KEPT if each.kind == kind]
    assert set().union(*(each.topics for each in of_kind)) == {*EVENTS}


def test_a_kept_log_is_whole_and_all_follows_from_it(kept: Found) -> None:
    store, expected = kept
    with store.storage.snapshot() as rows:
        found = verify_store(rows, store.vault, None, lambda _: None, store.storage.kind)
        assert found.findings == []
        assert verify_chain(rows, store.ring.log) == expected.position
        head = read_head(rows)
    assert (head.log_id, head.chain.hex()) == (expected.log_id, expected.chain)


def test_every_kept_event_is_read_and_folded(kept: Found) -> None:
    store, expected = kept
    with store.storage.snapshot() as rows:
        history = history_of(rows)
    assert Counter(each.event.name for each in history) == Counter(expected.topics)
    for stream in {each.stream for each in history}:
        of_stream = [each for each in history if each.stream == stream]
        assert aggregate_of(stream).fold(of_stream).version == len(of_stream)
    for person in (expected.people | expected.erased).values():
        user = USER.fold(each for each in history if each.stream == person.user_key)
        assert user.status == person.status
        assert user.permissions == person.permissions
        assert tuple(user.sessions) == person.sessions
        assert user.version == person.version


def test_every_kept_sealed_value_opens(kept: Found) -> None:
    store, expected = kept
    names = {each.user_key: each.user_id for each in expected.people.values()}
    erased = {each.user_key for each in expected.erased.values()}
    opened, shut = Counter[str](), Counter[str]()
    with store.storage.snapshot() as rows:
        keys = {each: person_key(store, rows, each) for each in names}
        for each in history_of(rows):
            at = (each.event.name, each.version)
            if isinstance(each.meta.origin, bytes):
                owner = user_key_of(each.meta.actor) or each.stream
                if owner in erased:
                    shut["@origin"] += 1
                else:
                    origin = each.meta.origin
                    assert open_sealed(keys[owner], origin, each.stream, "@origin", at=at)
                    opened["@origin"] += 1
            for field, by in each.event.seals.items():
                if by == "person" and each.stream in erased:
                    shut[field] += 1
                elif by == "person":
                    blob = getattr(each.event, field)
                    name = open_sealed(keys[each.stream], blob, each.stream, field, at=at)
                    assert name == names[each.stream]
                    opened[field] += 1
    assert opened["user_id"] == len(names)
    assert opened["@origin"]
    assert shut["user_id"] == len(erased)
    assert bool(shut["@origin"]) == bool(erased)


def test_of_who_was_erased_from_a_kept_store_nothing_opens(kept: Found) -> None:
    store, expected = kept
    writer = Writer(store.log, store.vault, store.ring, Policy())
    names, emptied = {prepare(each.user_id) for each in expected.people.values()}, 0
    for label, person in expected.erased.items():
        assert person.status == "erased"
        with store.storage.snapshot() as rows:
            assert rows.fetch(PERSON_KEYS % "?", (person.user_key,)) == []
            emptied += len(rows.fetch(_EMPTIED, (person.user_key,)))
            again = prepare(person.user_id) in names
            mac = name_mac(store.ring, prepare(person.user_id))
            assert rows.fetch(NAMES_TAKEN % "?", (mac,)) == ([(mac,)] if again else [])
        session, meta = seeded(label).hex()[:22], Meta("anonymous", "0" * 32)
        late = commands.StartSession(person.user_key, session, "secret", 1)
        enabled = commands.EnableUser(person.user_key)
        new = commands.RegisterUser(user_key(f"new {label}"), Clear(person.user_id), Clear("hash"))
        answers = writer.commit([Wish(each, meta) for each in (late, enabled, new)])
        assert [type(each) for each in answers[:2]] == [InvalidCredentials, NotFound]
        assert getattr(answers[2], "code", None) == ("user_id_taken" if again else None)
    assert bool(emptied) == bool(expected.erased)


def test_kept_snapshots_are_right_or_of_another_fold_and_passed_over(kept: Found) -> None:
    store, expected = kept
    with store.storage.snapshot() as rows:
        topics = {str(row[0]): row[1] for row in rows.fetch("SELECT stream, topic FROM snapshots")}
        streams = list(topics)
        assert len(streams) == expected.snapshots > 0
        keys = {each: person_key(store, rows, each) for each in streams}
        states = snapshot.newest(rows, keys)
        history = history_of(rows)
    assert set(states) == {each for each in streams if topics[each] == snapshot.TOPIC}
    for stream, state in states.items():
        of_stream = [each for each in history if each.stream == stream]
        assert USER.fold(of_stream[state.version :], state) == USER.fold(of_stream)


def test_kept_views_are_what_a_fresh_fold_gives(kept: Found, tmp_path: Path) -> None:
    store, _ = kept
    fresh = SqliteStorage(tmp_path / "fresh.db")
    fresh.prepare()
    with store.storage.snapshot() as rows, empty_views(fresh) as empty:
        history, pointers = history_of(rows), read_pointers(rows)
        for projection in PROJECTIONS:
            # One that nobody has followed yet has its place at the beginning.
            seen = history[: pointers[projection.name].position]
            assert projection.mode == "follow" or seen == history
            fill(empty, projection, seen)
            found = whole(rows, projection.name)
            assert bool(found) == bool(seen)
            assert found == whole(empty, projection.name)
        inline = read_live(rows, PROJECTIONS).inline
        assert {pointers[each.name].position for each in inline} == {len(history)}
    fresh.close()


def test_whoever_is_in_a_kept_store_gets_in(kept: Found) -> None:
    store, expected = kept
    writer = Writer(store.log, store.vault, store.ring, Policy())
    for label, person in expected.people.items():
        with store.storage.snapshot() as rows:
            mac = name_mac(store.ring, prepare(person.user_id))
            row = CredentialRow.of(rows.fetch(CREDENTIAL_BY_NAME, (mac,))[0])
        assert row.user_key == person.user_key
        assert row.credential_version is not None
        assert row.secret_hash is not None
        wrapped = Wrapped(str(row.credential_master_id), row.credential_wrapped or b"")
        key = store.vault.unwrap_user_key(row.user_key, row.credential_version, wrapped)
        hashed = open_sealed(key, row.secret_hash, row.user_key, "secret_hash")
        assert argon2.PasswordHasher().verify(hashed, person.user_secret)
        session = f"{seeded(label).hex()[:22]}"
        meta = Meta(actor_of(row.user_key), "0" * 32, Clear('["192.0.2.1",null]'))
        start = commands.StartSession(row.user_key, session, "secret", row.secret_version)
        first = commands.RecordUse(row.user_key, session, 1, "first")
        answers = writer.commit([Wish(start, meta), Wish(first, meta), Wish(first, meta)])
        if person.status == "disabled":
            assert {type(each) for each in answers} == {InvalidCredentials, InvalidToken}
            continue
        assert [len(each) for each in answers if not isinstance(each, Exception)] == [2, 1, 0]
        assert not isinstance(answers[0], Exception)
        assert answers[0][0].version == person.version + 1
    with store.storage.snapshot() as rows:
        active = sum(each.status == "active" for each in expected.people.values())
        assert verify_chain(rows, store.ring.log) == expected.position + 3 * active


def test_a_kept_name_stays_taken(kept: Found) -> None:
    store, expected = kept
    writer = Writer(store.log, store.vault, store.ring, Policy())
    for person in expected.people.values():
        command = commands.RegisterUser("uk_new", Clear(person.user_id.upper()), Clear("hash"))
        (answer,) = writer.commit([Wish(command, Meta("anonymous", "0" * 32))])
        assert getattr(answer, "code", None) == "user_id_taken"


def test_a_kept_signing_key_signs(kept: Found) -> None:
    store, expected = kept
    ring = KeyRing(store)
    signer = ring.signer(2**62)
    assert signer.kid in ring.verifying
    assert signer.kid in {each["kid"] for each in ring.published(2**62)}
    withdrawn = {key.kid for key in ring.known.keys.values() if key.withdrawn}
    assert len(withdrawn) == expected.topics.get("signing_key.withdrawn", 0)
    retired = {key.kid for key in ring.known.keys.values() if key.retired_at is not None}
    assert len(retired) == expected.topics.get("signing_key.retired", 0)
    assert set(ring.verifying) == {key.kid for key in ring.known.keys.values() if not key.withdrawn}


@pytest.mark.parametrize(
    "one", [each for each in KEPT if each.former_master_key], ids=lambda each: each.kind
)
def test_a_master_key_that_was_changed_opens_no_kept_store(
    one: Kept, request: pytest.FixtureRequest
) -> None:
    url: str = request.getfixturevalue(URLS[one.kind])
    one.copy_to(url)
    storage = storage_of(url)
    with pytest.raises(UnusableStore, match="wrapped under master key"):
        open_store(storage, Vault(one.former_master_key or b""), ALGORITHM)
    storage.close()


def test_a_kept_log_that_was_restored_goes_on_as_another(kept: Found) -> None:
    store, expected = kept
    with store.storage.snapshot() as rows:
        ids = [
            (each.event.name, each.event.log_id)
            for each in history_of(rows)
            if isinstance(each.event, LogOpened | LogRestored)
        ]
    if expected.formerly:
        assert ids == [
            (LogOpened.name, expected.formerly),
            (LogRestored.name, expected.log_id),
        ]
    else:
        assert ids == [(LogOpened.name, expected.log_id)]


def test_today_s_release_writes_a_store_that_could_be_kept(
    tmp_path: Path, database_url: str
) -> None:
    make.write(tmp_path, database_url)
    expected = msgspec.json.decode((tmp_path / "expected.json").read_bytes(), type=make.Expected)
    assert expected.snapshots > 0
    assert {*expected.topics} == {*EVENTS}
    assert all(is_user_stream(each.user_key) for each in expected.people.values())
    assert base64.b64decode((tmp_path / "master_key.txt").read_bytes()) != MASTER
