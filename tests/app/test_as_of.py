"""A user as of any moment is what was seen then, and says nothing of who was erased since."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import as_of
from app.as_of import AsOf, Moment
from app.store import Store, open_store, storage_of
from app.timestamps import rfc3339
from app.vault import Vault
from app.writer import Writer
from domain.errors import Damage, InvalidRequest, LogChanged, NotFound, Unavailable
from domain.events import UserErased
from domain.policy import DAY, Policy
from tests.app.living import Author, Fact, facts_of
from tests.domain.histories import POLICY, plans
from tests.faults.holding import holds
from tests.prove import as_of as proof
from tests.store.intruding import intrude
from tests.store.wishing import log_in, permit, register, rotate, use, user_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.administration import UserItem
    from tests.app.living import Seen
    from tests.domain.histories import Step

MASTER: Final = bytes(range(32))
LATER: Final = 4_000_000_000_000_000
ADA: Final = user_key("ada")

_numbers = itertools.count(1, 10)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(storage_of(database_url), Vault(MASTER), "ES256")
    yield opened
    opened.storage.close()


@pytest.fixture
def writer(store: Store) -> Writer:
    return Writer(store.log, store.vault, store.ring, Policy())


def found(
    store: Store, user: str, moment: Moment, policy: Policy = POLICY, now: int = LATER
) -> UserItem:
    """The user as of then, page by page."""
    folding = AsOf(store.vault, policy).user(user, moment, now)
    while True:
        with store.storage.snapshot() as rows:
            item = folding.read(rows)
        if item is not None:
            return item


def looked(store: Store, user: str, moment: Moment) -> UserItem | None:
    """The same; None when there was no such user."""
    try:
        return found(store, user, moment)
    except NotFound:
        return None


def nameless(item: UserItem | None) -> UserItem | None:
    return None if item is None else msgspec.structs.replace(item, user_id=None)


def expected(seen: list[Seen], place: int, user: str) -> UserItem | None:
    """What was seen at a place, of somebody who may have been erased since."""
    then, last = seen[place].users[user], seen[-1].users[user]
    assert last is not None
    return nameless(then) if last.status == "erased" else then


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(plans, min_size=1, max_size=2), st.sampled_from([3, 2_000]))
def test_as_of_every_position_is_what_was_seen_when_it_was_the_head(
    store: Store, several: list[list[Step]], page: int
) -> None:
    author = Author(store)
    facts = facts_of(several, next(_numbers), author.next_time)
    seen = author.live(facts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(as_of, "PAGE", page)
        for place, each in enumerate(seen):
            for user in each.users:
                item = looked(store, user, Moment(position=each.position))
                assert item == expected(seen, place, user)


def test_random_histories_of_the_long_proof(database_url: str) -> None:
    holds(proof, database_url)


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans)
def test_as_of_a_time_is_after_all_that_happened_by_then(store: Store, plan: list[Step]) -> None:
    author = Author(store)
    facts = facts_of([plan], next(_numbers), author.next_time)
    seen = author.live(facts)
    user, begin = facts[0].user_key, facts[0].time
    assert looked(store, user, Moment(at=begin - 1)) is None
    for time in {each.time for each in seen}:
        last = max(place for place, each in enumerate(seen) if each.time == time)
        assert looked(store, user, Moment(at=time)) == expected(seen, last, user)
    # A time between two events is as the first of them, but that sessions run out.
    end = seen[-1].time
    for time in (end + DAY, end + 100 * DAY):
        item = found(store, user, Moment(at=time))
        with store.storage.snapshot() as rows:
            assert item == author.directory.show(rows, user, time)


def stored(writer: Writer, *wishes) -> None:
    for answer in writer.commit(list(wishes)):
        assert not isinstance(answer, Exception), answer


def busy(writer: Writer) -> None:
    """Ada, whose stream is long enough for two snapshots; her permissions come before them."""
    stored(writer, register("ada"), permit("ada", "reports:read"), log_in("ada", "one"))
    stored(writer, *(rotate("ada", "one", each) for each in range(1, 260)))


def test_a_snapshot_that_lies_before_is_gone_on_from(store: Store, writer: Writer) -> None:
    busy(writer)
    with store.storage.snapshot() as rows:
        (kept,) = rows.fetch("SELECT version FROM snapshots WHERE stream = ?", (ADA,))
    assert kept == (250,)
    now, earlier = (found(store, ADA, Moment(position=at), Policy()) for at in (266, 100))
    assert (now.permissions, now.live_sessions, now.position) == (("reports:read",), 1, 266)
    assert (earlier.permissions, earlier.position) == (("reports:read",), 100)
    assert now.registered_at == earlier.registered_at
    assert now.last_login_at == earlier.last_login_at != now.registered_at
    with store.storage.transaction() as rows:
        rows.execute("DELETE FROM snapshots")
        rows.commit()
    assert found(store, ADA, Moment(position=266), Policy()) == now


def test_what_is_before_a_snapshot_that_counts_is_not_read(
    store: Store, writer: Writer, database_url: str
) -> None:
    busy(writer)
    with intrude(database_url) as intruder:
        # A snapshot is trusted as the writer trusts it; an event before it isn't looked at.
        _break(intruder, database_url, 50)
    assert found(store, ADA, Moment(position=266), Policy()).position == 266
    with pytest.raises(Damage, match="position 50"):
        found(store, ADA, Moment(position=100), Policy())


def _break(intruder, url: str, position: int) -> None:
    if url.startswith("sqlite"):
        intruder.run("DROP TRIGGER events_never_change")
    else:
        intruder.run("ALTER TABLE events DISABLE TRIGGER ALL")
    intruder.run("UPDATE events SET clear = ? WHERE position = ?", (b"{}", position))


def test_who_is_erased_in_between_has_no_name_at_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(as_of, "PAGE", 1)
    author = Author(store)
    writer = Writer(store.log, store.vault, store.ring, Policy())
    stored(writer, register("ada"), log_in("ada", "one"))
    folding = AsOf(store.vault, Policy()).user(ADA, Moment(position=6), LATER)
    with store.storage.snapshot() as rows:
        assert folding.read(rows) is None
    author.versions[ADA] = 3
    author.keys[ADA] = bytes(32)
    author.write(Fact(ADA, author.next_time, UserErased()))
    with store.storage.snapshot() as rows:
        assert folding.read(rows) is None
    with store.storage.snapshot() as rows:
        item = folding.read(rows)
    assert item is not None
    assert (item.user_id, item.status, item.live_sessions) == (None, "active", 1)


@pytest.mark.parametrize("user", [user_key("nobody"), "log", "signing_keys", "", "uk_\0"])
def test_nobody_was_never_there(store: Store, user: str) -> None:
    for moment in (Moment(), Moment(position=1), Moment(at=1)):
        with pytest.raises(NotFound):
            found(store, user, moment)


def test_before_the_registration_there_is_nobody(store: Store, writer: Writer) -> None:
    stored(writer, register("ada"))
    item = found(store, ADA, Moment(position=4))
    with pytest.raises(NotFound, match="not registered yet"):
        found(store, ADA, Moment(position=3))
    assert found(store, ADA, Moment()) == item
    with pytest.raises(NotFound):
        found(store, ADA, Moment(at=-(2**62)))


def test_a_position_beyond_the_head_is_of_another_log(store: Store, writer: Writer) -> None:
    stored(writer, register("ada"))
    with pytest.raises(LogChanged, match="ends at position 4"):
        found(store, ADA, Moment(position=5))
    with pytest.raises(LogChanged):
        found(store, ADA, Moment(position=10**18 - 1))


def test_a_time_that_hasn_t_come_is_refused(store: Store, writer: Writer) -> None:
    stored(writer, register("ada"))
    with store.storage.snapshot() as rows:
        ((time,),) = rows.fetch("SELECT max(time) FROM events")
    assert isinstance(time, int)
    with pytest.raises(InvalidRequest) as refusal:
        found(store, ADA, Moment(at=time + 1), now=time)
    assert refusal.value.faults[0].pointer == "/at"
    # The log may be ahead of whoever asks.
    assert found(store, ADA, Moment(at=time), now=1).registered_at == rfc3339(time)


def test_a_key_that_is_missing_without_an_erasure_is_damage(store: Store, writer: Writer) -> None:
    stored(writer, register("ada"))
    with store.storage.transaction() as rows:
        rows.execute("DELETE FROM user_keys WHERE user_key = ?", (ADA,))
        rows.commit()
    with pytest.raises(Damage, match=ADA):
        found(store, ADA, Moment(position=4))


def test_an_event_that_is_missing_is_damage(
    store: Store, writer: Writer, database_url: str
) -> None:
    stored(writer, register("ada"), log_in("ada", "one"), use("ada", "one"))
    with intrude(database_url) as intruder:
        if store.storage.kind == "sqlite":
            intruder.run("DROP TRIGGER events_never_go")
        else:
            intruder.run("ALTER TABLE events DISABLE TRIGGER ALL")
        intruder.run("DELETE FROM events WHERE position = 6")
    with pytest.raises(Damage, match="missing"):
        found(store, ADA, Moment(position=7))


def test_an_event_of_a_newer_release_is_told(
    store: Store, writer: Writer, database_url: str
) -> None:
    stored(writer, register("ada"))
    with intrude(database_url) as intruder:
        intruder.run(
            "INSERT INTO events SELECT 5, stream, 2, 'user.levitated', schema, time, clear, "
            "sealed, chain FROM events WHERE position = 4"
        )
    assert found(store, ADA, Moment(position=4)).position == 4
    with pytest.raises(Unavailable, match=r"user\.levitated.*Upgrade"):
        found(store, ADA, Moment(position=5))
