"""Rebuilding views beside the live ones: on each kind of store, at any moment."""

from __future__ import annotations

import asyncio
import itertools
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from app.eventstore.feed import LogFeed
from app.eventstore.log import read_head
from app.lookup import lookup_of
from app.reading import Reading
from domain.errors import NotFound, RebuildRunning
from projections.leftovers import sweep
from projections.live import UnknownView, read_live, read_pointers
from projections.rebuild import SHORT, Differs, Gone, Swapped
from projections.rebuild_state import cancel, read_state
from projections.registry import PROJECTIONS
from projections.runner import Follower
from tests.store.intruding import intrude
from tests.store.rebuilds import (
    Broken,
    DyingStorage,
    LoginCount,
    LoginCountWithTime,
    Watched,
    expire,
    history,
    rebuild_of,
    rebuilt,
    tables,
    view,
)
from tests.store.wishing import log_in, register, session_id, use, user_key

if TYPE_CHECKING:
    from app.store import Store
    from app.writer import Writer
    from projections.projection import Projection
    from projections.rebuild_state import State
    from projections.storage import Rows
    from tests.store.conftest import OpenStore

NAMES = [each.name for each in PROJECTIONS]


@pytest.mark.parametrize("name", NAMES)
def test_a_rebuilt_view_is_as_it_was_under_another_table(busy: Store, name: str) -> None:
    before = view(busy, name)
    assert before
    first, second = rebuilt(busy, name), rebuilt(busy, name)
    assert isinstance(first, Swapped)
    assert isinstance(second, Swapped)
    assert first.digest == second.digest
    assert view(busy, name) == before
    assert tables(busy, name) == [f"{name}_r2_v1"]


def test_a_swap_tells_every_process(busy: Store) -> None:
    with busy.storage.snapshot() as rows:
        before = read_head(rows).generation
    rebuilt(busy, "token_lookup")
    with busy.storage.snapshot() as rows:
        assert read_head(rows).generation == before + 1


def test_what_is_written_after_a_swap_is_in_the_new_table(busy: Store, writer: Writer) -> None:
    rebuilt(busy, "token_lookup")
    rebuilt(busy, "user_directory")
    writer.commit([register("eve"), log_in("eve", "e")])
    assert session_id("eve", "e") in {row[0] for row in view(busy, "token_lookup")}
    assert user_key("eve") in {row[0] for row in view(busy, "user_directory")}
    for name in NAMES:
        assert isinstance(rebuilt(busy, name), Swapped)


def test_what_is_written_meanwhile_is_not_missed(busy: Store, writer: Writer) -> None:
    made: list[str] = []

    def meanwhile(_: State, __: int) -> None:
        made.append(session_id("bob", f"meanwhile {len(made)}"))
        writer.commit([log_in("bob", f"meanwhile {len(made) - 1}")])

    rebuild = rebuild_of(busy, told=meanwhile, span=7)
    outcome = rebuild.run(rebuild.begin("token_lookup"))
    assert isinstance(outcome, Swapped)
    assert outcome.differed == []
    assert len(made) > 5
    assert set(made) <= {row[0] for row in view(busy, "token_lookup")}


def test_portions_grow_while_nobody_else_writes_and_each_is_short(
    busy: Store, writer: Writer
) -> None:
    """What holds the append lock as long as others may wait for it grows no more."""
    now = 0.0
    reached: list[int] = []

    def told(state: State, _: int) -> None:
        nonlocal now
        now += state.position - (reached[-1] if reached else 0)
        reached.append(state.position)

    def monotonic() -> float:
        return now * SHORT / 4

    rebuild = rebuild_of(busy, told=told, monotonic=monotonic, span=1)
    rebuild.run(rebuild.begin("user_directory"))
    sizes = [last - first for first, last in pairwise([0, *reached])]
    assert sizes[:4] == [1, 1, 2, 4]
    assert max(sizes) == 4

    def meanwhile(state: State, _: int) -> None:
        told(state, _)
        if 3 < len(reached) < 8:
            writer.commit([log_in("bob", f"meanwhile {len(reached)}")])

    reached.clear()
    rebuild = rebuild_of(busy, told=meanwhile, monotonic=monotonic, span=1)
    rebuild.run(rebuild.begin("token_lookup"))
    sizes = [last - first for first, last in pairwise([0, *reached])]
    assert sizes[:11] == [1, 1, 2, 4, 4, 1, 1, 1, 1, 2, 4]


def test_a_live_table_that_differs_is_named_and_stays_unless_accepted(
    busy: Store, database_url: str
) -> None:
    good = view(busy, "user_directory")
    with intrude(database_url) as intruder:
        change = "UPDATE user_directory_v1 SET permissions = 'admin' WHERE user_key = ?"
        intruder.run(change, (user_key("bob"),))
        intruder.run("DELETE FROM user_directory_v1 WHERE user_key = ?", (user_key("ada"),))
    outcome = rebuilt(busy, "user_directory")
    assert isinstance(outcome, Differs)
    assert set(map(str, outcome.rows)) == {
        f"{user_key('ada')} is missing",
        f"{user_key('bob')} differs in permissions",
    }
    assert view(busy, "user_directory") != good
    assert tables(busy, "user_directory") == ["user_directory_v1"]
    assert isinstance(rebuilt(busy, "user_directory"), Differs), "asked again it says the same"
    accepted = rebuilt(busy, "user_directory", accept=True)
    assert isinstance(accepted, Swapped)
    assert len(accepted.differed) == 2
    assert view(busy, "user_directory") == good


def test_an_inline_view_can_t_be_marked_as_one_that_stopped(busy: Store, database_url: str) -> None:
    with intrude(database_url) as intruder:
        change = "UPDATE user_directory_v1 SET permissions = 'admin' WHERE user_key = ?"
        intruder.run(change, (user_key("bob"),))
        intruder.run("UPDATE views SET stalled = 1 WHERE name = 'user_directory'")
    outcome = rebuilt(busy, "user_directory")
    assert isinstance(outcome, Differs)
    assert list(map(str, outcome.rows)) == [f"{user_key('bob')} differs in permissions"]
    assert tables(busy, "user_directory") == ["user_directory_v1"]


def test_a_view_that_missed_events_is_compared_as_it_stands(
    busy: Store, writer: Writer, database_url: str
) -> None:
    """What it missed is no difference; what somebody wrote is."""
    with busy.storage.snapshot() as rows:
        missed = read_pointers(rows)["user_directory"].position
    before = view(busy, "user_directory")
    writer.commit([register("eve")])
    with intrude(database_url) as intruder:
        intruder.run("DELETE FROM user_directory_v1 WHERE user_key = ?", (user_key("eve"),))
        intruder.run("UPDATE views SET position = ? WHERE name = 'user_directory'", (missed,))
        change = "UPDATE user_directory_v1 SET permissions = ? WHERE user_key = ?"
        intruder.run(change, ("admin", user_key("bob")))
        outcome = rebuilt(busy, "user_directory")
        assert isinstance(outcome, Differs)
        assert list(map(str, outcome.rows)) == [f"{user_key('bob')} differs in permissions"]
        intruder.run(change, ("", user_key("bob")))
    assert view(busy, "user_directory") == before
    outcome = rebuilt(busy, "user_directory")
    assert isinstance(outcome, Swapped)
    assert outcome.differed == []
    assert user_key("eve") in {row[0] for row in view(busy, "user_directory")}


@pytest.mark.parametrize("last", ["lost", "done"])
@pytest.mark.parametrize("name", ["token_lookup", "daily_activity"])
def test_a_rebuild_that_died_at_any_commit_is_resumed(
    busy: Store, writer: Writer, name: str, last: str
) -> None:
    """Each commit in turn is its last, which was stored or was not."""
    before, commits = view(busy, name), 0
    while True:
        dying = DyingStorage(busy.storage, commits, done=last == "done")
        rebuild = rebuild_of(busy, f"dead {commits}", storage=dying)
        try:
            rebuild.run(rebuild.begin(name))
        except Broken:
            expire(busy)
        else:
            break
        commits += 1
        writer.commit([use("ada", str(commits), "every")])
    assert commits >= 4
    Follower(busy.storage, LogFeed(), PROJECTIONS).catch_up()
    outcome = rebuilt(busy, name)
    assert isinstance(outcome, Swapped)
    assert outcome.differed == []
    assert [row[0] for row in view(busy, name)] == [row[0] for row in before]
    assert len(tables(busy, name)) == 1


def test_one_runs_at_a_time_until_its_lease_is_over(busy: Store) -> None:
    rebuild_of(busy, "first").begin("token_lookup")
    for name in ("token_lookup", "revocations"):
        with pytest.raises(RebuildRunning, match="token_lookup is running"):
            rebuild_of(busy, "second").begin(name)
    expire(busy)
    with pytest.raises(RebuildRunning, match="token_lookup was broken off"):
        rebuild_of(busy, "second").begin("revocations")
    assert rebuild_of(busy, "second").begin("token_lookup").holder == "second"


@pytest.mark.parametrize(("seconds", "stopped", "signs"), [(4, 0, 2), (4, 1, 3), (0, 1, 0)])
def test_comparing_shows_signs_of_life(
    busy: Store, writer: Writer, seconds: int, stopped: int, signs: int
) -> None:
    """However long it takes to read both tables, or to fold what one that stopped must be."""
    with busy.storage.transaction() as rows:
        sql = "UPDATE views SET stalled = ? WHERE name = 'daily_activity'"
        rows.execute(sql, (stopped,))
        rows.commit()
    writer.commit([log_in("ada", "later")])
    watched, clock = Watched(busy.storage), itertools.count(0, seconds)
    rebuild = rebuild_of(busy, storage=watched, monotonic=lambda: next(clock))
    outcome = rebuild.run(rebuild.begin("daily_activity"))
    assert isinstance(outcome, Swapped)
    assert outcome.differed == []
    assert len(watched.leases) == signs
    assert watched.leases == sorted(set(watched.leases)), "each lasts longer than the one before"


def test_whoever_comes_back_late_finds_it_taken_over_and_writes_nothing(busy: Store) -> None:
    late = rebuild_of(busy, "late")
    state = late.begin("token_lookup")
    expire(busy)
    assert isinstance(rebuilt(busy, "token_lookup"), Swapped)
    before = view(busy, "token_lookup")
    with pytest.raises(Gone, match="cancelled"):
        late.run(state)
    rebuild_of(busy, "another").begin("token_lookup")
    with pytest.raises(Gone, match="Somebody else"):
        late.run(state)
    assert view(busy, "token_lookup") == before


def test_a_cancelled_rebuild_leaves_nothing(busy: Store) -> None:
    cancelled = False

    def told(state: State, _: int) -> None:
        nonlocal cancelled
        cancelled = cancel(busy.storage, state.name)

    rebuild = rebuild_of(busy, told=told)
    with pytest.raises(Gone, match="cancelled"):
        rebuild.run(rebuild.begin("token_lookup"))
    assert cancelled
    sweep(busy.storage, PROJECTIONS)
    assert tables(busy, "token_lookup") == ["token_lookup_v1"]
    assert not cancel(busy.storage, "token_lookup")
    with busy.storage.snapshot() as rows:
        assert read_state(rows) is None


def test_what_a_rebuild_left_behind_is_nothing_to_begin_with(busy: Store) -> None:
    """It was cancelled, and nobody dropped its half-filled table."""

    def cancelled(state: State, _: int) -> None:
        cancel(busy.storage, state.name)

    rebuild = rebuild_of(busy, "gone", told=cancelled, span=7)
    state = rebuild.begin("daily_activity")
    with pytest.raises(Gone):
        rebuild.run(state)
    before = view(busy, "daily_activity")
    with busy.storage.transaction() as rows:
        assert rows.has_table(state.table)
    outcome = rebuilt(busy, "daily_activity")
    assert isinstance(outcome, Swapped)
    assert outcome.differed == []
    assert view(busy, "daily_activity") == before
    assert len(tables(busy, "daily_activity")) == 1


def test_there_is_nothing_to_rebuild_of_an_unknown_name(busy: Store) -> None:
    with pytest.raises(NotFound, match="user_directory, token_lookup"):
        rebuild_of(busy).begin("nothing")


# --- views of a new shape


def test_a_view_that_is_not_there_is_unknown_until_a_rebuild_has_made_it(busy: Store) -> None:
    kept = (*PROJECTIONS, LoginCount())
    with (
        busy.storage.snapshot() as rows,
        pytest.raises(UnknownView, match="gatebook projections rebuild login_count"),
    ):
        read_live(rows, kept)
    rebuild = rebuild_of(busy, kept=kept)
    assert isinstance(rebuild.run(rebuild.begin("login_count")), Swapped)
    with busy.storage.snapshot() as rows:
        live = read_live(rows, kept)
        found = live.rows(rows).fetch("SELECT logins FROM login_count_v1 ORDER BY logins")
    assert found == [(1,), (20,)]
    assert live.pointers["login_count"].position == len(history(busy))


def test_a_release_uses_the_old_version_until_the_new_one_is_filled(busy: Store) -> None:
    kept: tuple[Projection, ...] = (*PROJECTIONS, LoginCount(), LoginCountWithTime())
    first = rebuild_of(busy, kept=kept[:-1])
    first.run(first.begin("login_count"))
    with busy.storage.snapshot() as rows:
        assert kept[-2] in read_live(rows, kept).inline
    second = rebuild_of(busy, kept=kept)
    outcome = second.run(second.begin("login_count"))
    assert isinstance(outcome, Swapped)
    assert outcome.differed == [], "another shape is nothing to compare with"
    with busy.storage.snapshot() as rows:
        live = read_live(rows, kept)
        found = live.rows(rows).fetch("SELECT logins FROM login_count_v2 ORDER BY logins")
        with pytest.raises(UnknownView, match="at version 2, this release keeps version 1"):
            read_live(rows, kept[:-1])
    assert kept[-1] in live.inline
    assert found == [(1,), (20,)]


# --- who looks up meanwhile


def test_nobody_looks_up_a_table_that_was_dropped(busy: Store) -> None:
    async def look_up() -> None:
        lookup = lookup_of(busy.storage)
        try:
            for _ in range(3):
                found = await lookup.session(session_id("bob", "b"))
                assert found is not None
                assert found.user_key == user_key("bob")
                assert await lookup.session("nobody") is None
                rebuilt(busy, "token_lookup")
                rebuilt(busy, "user_directory")
                assert await lookup.credential(user_key("ada")) is not None
                assert await lookup.credential(user_key("nobody")) is None
        finally:
            await lookup.close()

    asyncio.run(look_up())


def test_a_read_that_meets_a_swap_is_done_again(busy: Store, opened: OpenStore) -> None:
    """Its pointer says one table, and that is gone when it comes there."""
    other, met = opened(), 0
    reading = Reading(busy.storage, owned=False)

    def work(rows: Rows) -> int:
        nonlocal met
        met += 1
        if met == 1:
            rebuilt(other, "token_lookup")
        return len(rows.fetch("SELECT * FROM token_lookup_v1"))

    async def read() -> int:
        return await reading.read(work)

    assert asyncio.run(read()) == 21
    reading.close()
    assert met == (2 if busy.storage.kind == "postgresql" else 1)
