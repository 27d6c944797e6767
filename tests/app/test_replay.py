"""A replay adds up: each step's changes to the state, and the state to what was seen then."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import replay
from app.as_of import Moment
from app.replay import Replay, StateItem, Step
from app.store import Store, open_store, storage_of
from app.timestamps import rfc3339
from app.vault import Vault
from app.writer import Wish, Writer
from domain import commands
from domain.errors import Damage, NotFound, Unavailable
from domain.events import UserErased
from domain.policy import Policy
from domain.sealed import Clear
from tests.app.living import Author, facts_of
from tests.domain.histories import POLICY, plans
from tests.store.intruding import intrude
from tests.store.wishing import HASH, log_in, meta, permit, register, rotate, user_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.domain.histories import Step as Planned

LATER: Final = 4_000_000_000_000_000
ADA: Final = user_key("ada")
COMPUTED: Final = {"user_key", "live_sessions", "position", "version", "time", "sessions"}

_numbers = itertools.count(1, 10)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(storage_of(database_url), Vault(bytes(range(32))), "ES256")
    yield opened
    opened.storage.close()


@pytest.fixture
def writer(store: Store) -> Writer:
    return Writer(store.log, store.vault, store.ring, Policy())


def stored(writer: Writer, *wishes: Wish) -> None:
    for answer in writer.commit(list(wishes)):
        assert not isinstance(answer, Exception), answer


def replayed(
    store: Store, user: str = ADA, moment: Moment | None = None
) -> tuple[list[Step], StateItem]:
    found = Replay(store.log, store.vault, POLICY, user, moment or Moment(), LATER)
    steps = [found.step(passage) for page in found.read() for passage in page]
    assert len(steps) == found.length
    return steps, found.state()


def added_up(steps: list[Step]) -> dict[str, Any]:
    """What the changes come to, one after another, each from what the one before left."""
    state: dict[str, Any] = {}
    for step in steps:
        for change in step.changes:
            *path, member = change.member.split(".", 2)
            place = state
            for name in path:
                place = place.setdefault(name, {})
            nothing = {"status": "unknown", "permissions": (), "secret_version": 0}
            assert place.get(member, nothing.get(member)) == change.before, change
            place[member] = change.after
            if change.after is None and path:
                del place[member]
    return state


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans, st.sampled_from([1, 7, 1_000]))
def test_the_steps_add_up_to_the_state_and_the_state_is_what_was_seen(
    store: Store, plan: list[Planned], page: int
) -> None:
    author = Author(store)
    facts = facts_of([plan], next(_numbers), author.next_time)
    user = facts[0].user_key
    seen = author.live(facts)
    moment = Moment(position=seen[-1].position)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "PAGE", page)
        steps, state = replayed(store, user, moment)
    assert [(each.position, each.version) for each in steps] == [
        (each.position, version) for version, each in enumerate(seen, 1)
    ]
    members = msgspec.structs.asdict(state)
    item = seen[-1].users[user]
    assert item is not None
    assert {name: members[name] for name in item.__struct_fields__} == msgspec.structs.asdict(item)
    sums = added_up(steps)
    sessions = sums.pop("sessions", {})
    for name in members.keys() - COMPUTED:
        assert sums.get(name, () if name == "permissions" else None) == members[name], name
    listed = [msgspec.structs.asdict(each) for each in state.sessions]
    assert [{"session_id": key, **session} for key, session in sessions.items()] == [
        {name: value for name, value in each.items() if name != "live"} for each in listed
    ]
    assert sum(each.live for each in state.sessions) == item.live_sessions


def test_what_an_event_changed_is_told_member_by_member(store: Store, writer: Writer) -> None:
    stored(writer, register("ada", "Ada"), log_in("ada", "one"))
    stored(writer, rotate("ada", "one"), permit("ada", "a", "b"))
    steps, _ = replayed(store)
    registered, logged_in, issued, rotated, permitted = steps
    assert [(each.member, each.after) for each in registered.changes] == [
        ("status", "active"),
        ("user_id", "Ada"),
        ("registered_at", registered.time),
        ("secret_version", 1),
        ("hash_version", 1),
    ]
    (session,) = [each for each in logged_in.changes if each.member.startswith("sessions.")]
    assert session.before is None
    assert [each.member for each in issued.changes] == [f"{session.member}.expires_at"]
    assert {each.member: each.after for each in rotated.changes} == {
        f"{session.member}.generation": 2,
        f"{session.member}.used_generation": 1,
        f"{session.member}.rotated_at": rotated.time,
        f"{session.member}.last_used_at": rotated.time,
    }
    (change,) = permitted.changes
    assert (change.member, change.before, change.after) == ("permissions", (), ("a", "b"))
    assert (permitted.type, permitted.actor) == ("user.permissions_set", "anonymous")


def test_of_a_secret_only_its_event_is_told(store: Store, writer: Writer) -> None:
    """Security rule 19."""
    stored(writer, register("ada"), log_in("ada", "one"))
    fresh = "$argon2id$canary-of-another-hash"
    stored(writer, Wish(commands.ResetSecret(ADA, Clear(fresh)), meta(request="reset")))
    steps, state = replayed(store)
    changes = {each.member: (each.before, each.after) for each in steps[3].changes}
    assert changes == {"secret_version": (1, 2), "hash_version": (1, 4)}
    assert (state.secret_version, state.hash_version) == (2, 4)
    for text in (repr(steps), repr(state), msgspec.json.encode([steps, state]).decode()):
        assert HASH not in text
        assert fresh not in text
        assert "argon2" not in text


def test_who_is_erased_has_no_name_at_any_time(store: Store) -> None:
    author = Author(store)
    facts = facts_of([[]], next(_numbers), author.next_time)
    author.live(facts)
    user = facts[0].user_key
    before, named = replayed(store, user)
    assert named.user_id is not None
    assert [each.member for each in before[0].changes][:2] == ["status", "user_id"]
    author.write(facts[0]._replace(time=author.next_time, event=UserErased()))
    steps, state = replayed(store, user, Moment(position=before[0].position))
    assert (state.user_id, state.status, state.hash_version) == (None, "active", 1)
    assert "user_id" not in [each.member for each in steps[0].changes]
    steps, state = replayed(store, user)
    assert (state.user_id, state.status, state.hash_version) == (None, "erased", None)
    assert {each.member for each in steps[1].changes} == {"status", "hash_version"}


def test_a_replay_needs_neither_views_nor_snapshots(store: Store, writer: Writer) -> None:
    stored(writer, register("ada"), log_in("ada", "one"))
    stored(writer, *(rotate("ada", "one", each) for each in range(1, 120)))
    before = replayed(store, moment=Moment(position=120))
    with store.storage.transaction() as rows:
        for table in ("snapshots", "token_lookup_v1", "user_directory_v1"):
            rows.execute(f"DELETE FROM {table}")
        rows.commit()
    assert replayed(store, moment=Moment(position=120)) == before
    assert before[1].sessions[0].generation == 115


def test_the_state_now_is_of_now(store: Store, writer: Writer) -> None:
    stored(writer, register("ada"), log_in("ada", "one"))
    _, state = replayed(store)
    # Long after all of it: the session was not ended, and has run out.
    assert state.time == rfc3339(LATER)
    assert (state.live_sessions, [each.live for each in state.sessions]) == (0, [False])


def test_what_can_t_be_read_is_told(store: Store, writer: Writer, database_url: str) -> None:
    stored(writer, register("ada"), log_in("ada", "one"))
    with pytest.raises(NotFound):
        replayed(store, user_key("nobody"))
    with intrude(database_url) as intruder:
        intruder.run(
            "INSERT INTO events SELECT 7, stream, 4, 'user.levitated', schema, time, clear, "
            "sealed, chain FROM events WHERE position = 4"
        )
    with pytest.raises(Unavailable, match=r"user\.levitated.*Upgrade"):
        replayed(store)
    assert len(replayed(store, moment=Moment(position=6))[0]) == 3
    with intrude(database_url) as intruder:
        if store.storage.kind == "sqlite":
            intruder.run("DROP TRIGGER events_never_go")
        else:
            intruder.run("ALTER TABLE events DISABLE TRIGGER ALL")
        intruder.run("DELETE FROM events WHERE position = 5")
    with pytest.raises(Damage, match="missing"):
        replayed(store, moment=Moment(position=6))
