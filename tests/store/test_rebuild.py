"""Rebuilding views beside the live ones, and following: on each kind of store, at any moment."""

from __future__ import annotations

import asyncio
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import pytest

from app.eventstore.feed import LogFeed
from app.eventstore.log import read_head, read_range
from app.eventstore.schema import RAISE_GENERATION
from app.lookup import lookup_of
from app.reading import Reading
from domain import events
from domain.errors import NotFound, RebuildRunning
from projections.leftovers import sweep
from projections.live import POINT, UnknownView, read_live, read_pointers
from projections.rebuild import SHORT, Differs, Gone, Rebuild, Stopped, Swapped
from projections.rebuild_state import LEASE, cancel, read_state
from projections.registry import PROJECTIONS
from projections.runner import Follower, read_stall
from tests.projections.history import whole
from tests.store.intruding import intrude, unseal
from tests.store.wishing import end, log_in, register, session_id, use, user_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from app.store import Store
    from app.writer import Writer
    from domain.stream import Recorded
    from projections.projection import Mode, Projection
    from projections.rebuild_state import State
    from projections.storage import Row, Rows, Storage, Transaction
    from tests.store.conftest import OpenStore

NAMES = [each.name for each in PROJECTIONS]


class Broken(Exception):
    """The process died here."""


def rebuild_of(
    store: Store,
    holder: str = "me",
    *,
    kept: Sequence[Projection] = PROJECTIONS,
    storage: object | None = None,
    span: int = 1000,
    told: Callable[[State, int], None] = lambda *_: None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Rebuild:
    return Rebuild(
        storage or store.storage,  # type: ignore[arg-type]
        LogFeed(),
        kept,
        lambda rows: rows.execute(RAISE_GENERATION),
        holder,
        told=told,
        pause=lambda _: None,
        monotonic=monotonic,
        span=span,
    )


def rebuilt(store: Store, name: str, *, accept: bool = False) -> object:
    rebuild = rebuild_of(store)
    outcome = rebuild.run(rebuild.begin(name, accept=accept))
    sweep(store.storage, PROJECTIONS)
    return outcome


def view(store: Store, name: str) -> list[Row]:
    with store.snapshot() as rows:
        return whole(rows, name)


def build_of(store: Store, name: str) -> int:
    with store.storage.snapshot() as rows:
        return read_pointers(rows)[name].build


def tables(store: Store, name: str) -> list[str]:
    """Which of a view's tables are in the store, of its first builds."""
    known = [f"{name}_v1", *(f"{name}_r{build}_v1" for build in range(1, 9))]
    with store.storage.transaction() as rows:
        return [each for each in known if rows.has_table(each)]


@pytest.fixture
def busy(store: Store, writer: Writer) -> Store:
    """A store in which something has happened, and every view is at the head."""
    writer.commit([register("ada"), register("bob")])
    writer.commit([log_in("ada", str(number)) for number in range(20)])
    writer.commit([log_in("bob", "b"), use("ada", "3"), end("ada", "4")])
    Follower(store.storage, LogFeed(), PROJECTIONS).catch_up()
    return store


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


class LoginCount:
    """A view of a test: how many logins each user had."""

    name = "login_count"
    version = 1
    mode: Mode = "inline"
    wants: frozenset[type[events.Event]] = frozenset({events.UserLoggedIn})
    tables: tuple[str, ...] = (
        "CREATE TABLE login_count_v1 (user_key TEXT PRIMARY KEY, logins BIGINT NOT NULL)",
    )

    def apply(self, rows: Rows, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            rows.execute(
                "INSERT INTO login_count_v1 VALUES (?, 1) "
                "ON CONFLICT (user_key) DO UPDATE SET logins = login_count_v1.logins + 1",
                (recorded.stream,),
            )


class LoginCountWithTime(LoginCount):
    """Its next version, which says when the last one was."""

    version = 2
    tables: tuple[str, ...] = (
        """CREATE TABLE login_count_v2 (
          user_key TEXT PRIMARY KEY, logins BIGINT NOT NULL, last_at BIGINT NOT NULL)""",
    )

    def apply(self, rows: Rows, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            rows.execute(
                "INSERT INTO login_count_v2 VALUES (?, 1, ?) ON CONFLICT (user_key) DO UPDATE "
                "SET logins = login_count_v2.logins + 1, last_at = excluded.last_at",
                (recorded.stream, recorded.time),
            )


class Choosy(LoginCount):
    """One that can't apply the login of somebody."""

    mode: Mode = "follow"

    def apply(self, rows: Rows, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            if recorded.stream == user_key("bob"):
                msg = "not him"
                raise ValueError(msg)
            super().apply(rows, [recorded])


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


# --- following


def test_a_following_view_stops_at_what_it_can_t_apply_and_says_so(busy: Store) -> None:
    kept = (*PROJECTIONS, Choosy())
    with busy.storage.transaction() as rows:
        rows.define(Choosy.tables[0])
        rows.execute(POINT, ("login_count", 1))
        rows.commit()
    follower = Follower(busy.storage, LogFeed(), kept)
    (failing,) = (each for each in history(busy) if is_login_of(each, "bob"))
    failure = follower.catch_up()["login_count"]
    assert (failure.position, failure.type) == (failing.position, "user.logged_in")
    assert failure.detail == "ValueError: not him"
    with busy.storage.snapshot() as rows:
        assert read_pointers(rows)["login_count"].position == failing.position - 1
        assert rows.fetch("SELECT logins FROM login_count_v1") == [(20,)]
    assert follower.catch_up() == {"login_count": failure}, "it is not skipped"
    mended = Follower(busy.storage, LogFeed(), (*PROJECTIONS, Following()))
    assert mended.retry() == ["login_count"]
    assert mended.catch_up() == {}
    with busy.storage.snapshot() as rows:
        assert len(rows.fetch("SELECT * FROM login_count_v1")) == 2


def test_a_view_that_stopped_is_compared_as_it_stands(busy: Store, database_url: str) -> None:
    """What comes after its place is no difference; what somebody wrote is."""
    with busy.storage.transaction() as rows:
        rows.define(Choosy.tables[0])
        rows.execute(POINT, ("login_count", 1))
        rows.commit()
    assert Follower(busy.storage, LogFeed(), (*PROJECTIONS, Choosy())).catch_up()
    rebuild = rebuild_of(busy, kept=(*PROJECTIONS, Following()))
    with intrude(database_url) as intruder:
        intruder.run("UPDATE login_count_v1 SET logins = 19")
        outcome = rebuild.run(rebuild.begin("login_count"))
        assert isinstance(outcome, Differs)
        assert list(map(str, outcome.rows)) == [f"{user_key('ada')} differs in logins"]
        intruder.run("UPDATE login_count_v1 SET logins = 20")
    outcome = rebuild.run(rebuild.begin("login_count"))
    assert isinstance(outcome, Swapped)
    assert outcome.differed == []
    with busy.storage.snapshot() as rows:
        assert read_stall(rows, "login_count") is None
        live = read_live(rows, (*PROJECTIONS, Following()))
        found = live.rows(rows).fetch("SELECT logins FROM login_count_v1 ORDER BY logins")
    assert found == [(1,), (20,)]


def test_a_following_view_stops_at_what_the_database_refuses(
    busy: Store, writer: Writer, database_url: str
) -> None:
    writer.commit([log_in("ada", "last")])
    with intrude(database_url) as intruder:
        intruder.run("ALTER TABLE daily_activity_v1 RENAME COLUMN logins TO gone")
    follower = Follower(busy.storage, LogFeed(), PROJECTIONS)
    failure = follower.catch_up()["daily_activity"]
    assert (failure.position, failure.type) == (len(history(busy)) - 1, "user.logged_in")
    assert "logins" in failure.detail
    with intrude(database_url) as intruder:
        intruder.run("ALTER TABLE daily_activity_v1 RENAME COLUMN gone TO logins")
    assert follower.retry() == ["daily_activity"]
    assert follower.catch_up() == {}
    assert view(busy, "daily_activity")[0][2] == 22


@pytest.mark.parametrize("name", NAMES)
def test_an_event_that_only_a_newer_release_knows_is_not_passed_over(
    busy: Store, writer: Writer, name: str
) -> None:
    """It may be meant for any view: a follower stops there, and a rebuild gives up."""
    position = write_as_a_newer_release(busy)
    (answer,) = writer.commit([log_in("bob", "later")])
    assert isinstance(answer, tuple)
    follower = Follower(busy.storage, LogFeed(), PROJECTIONS)
    failure = follower.catch_up()["daily_activity"]
    assert (failure.position, failure.type) == (position, "user.renamed")
    assert "newer release" in failure.detail
    with busy.storage.snapshot() as rows:
        assert read_pointers(rows)["daily_activity"].position == position - 1
    outcome = rebuilt(busy, name)
    assert isinstance(outcome, Stopped)
    assert outcome.failure == failure
    assert build_of(busy, name) == 0
    with busy.storage.transaction() as rows:  # this release learns of it, and wants none
        unseal(rows, busy.storage.kind)
        rows.execute("UPDATE events SET topic = 'log.opened' WHERE position = ?", (position,))
        rows.commit()
    assert follower.catch_up() != {}, "somebody has to say so"
    assert follower.retry() == ["daily_activity"]
    assert follower.catch_up() == {}
    assert view(busy, "daily_activity")[0][2] == 22
    assert isinstance(rebuilt(busy, name), Swapped)


def test_a_rebuild_that_can_t_apply_an_event_leaves_the_live_table(busy: Store) -> None:
    kept = (*PROJECTIONS, Following())
    with busy.storage.transaction() as rows:
        rows.define(Following.tables[0])
        rows.execute(POINT, ("login_count", 1))
        rows.commit()
    Follower(busy.storage, LogFeed(), kept).catch_up()
    rebuild = rebuild_of(busy, kept=(*PROJECTIONS, Choosy()))
    outcome = rebuild.run(rebuild.begin("login_count"))
    assert isinstance(outcome, Stopped)
    assert outcome.failure.detail == "ValueError: not him"
    with busy.storage.snapshot() as rows:
        assert len(rows.fetch("SELECT * FROM login_count_v1")) == 2
        assert read_state(rows) is None


def test_two_followers_apply_each_event_once(busy: Store, opened: OpenStore) -> None:
    other = opened()
    with busy.storage.transaction() as rows:
        rows.execute("DELETE FROM daily_activity_v1")
        rows.execute("UPDATE views SET position = 0 WHERE name = 'daily_activity'")
        rows.commit()
    followers = [Follower(each.storage, LogFeed(), PROJECTIONS) for each in (busy, other)]
    with ThreadPoolExecutor(2) as pool:
        assert [each.result() for each in [pool.submit(f.catch_up) for f in followers]] == [{}, {}]
    (day,) = view(busy, "daily_activity")
    assert day[1:3] == (2, 21)


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


class Watched:
    """A storage that notes until when the rebuild is held, at each commit while it compares."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._comparing = False
        self.leases: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._storage, name)

    @contextmanager
    def handover(self, work: Callable[[Transaction], None]) -> Iterator[Rows]:
        with self._storage.handover(work) as rows:
            self._comparing = True
            yield rows
            self._comparing = False

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._storage.transaction() as rows:
            yield rows
        if self._comparing:
            with self._storage.transaction() as rows:
                state = read_state(rows)
            assert state is not None
            self.leases.append(state.lease_until)


class DyingStorage:
    """A storage whose user dies at a commit, which is stored or is not."""

    def __init__(self, storage: Storage, commits: int, *, done: bool) -> None:
        self.kind = storage.kind
        self._storage = storage
        self._left = commits
        self._done = done

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._storage.transaction() as rows:
            yield cast("Transaction", Dying(rows, self._commit))

    @contextmanager
    def handover(self, work: Callable[[Transaction], None]) -> Iterator[Rows]:
        if self._left == 0 and not self._done:
            raise Broken
        with self._storage.handover(work) as rows:
            if self._left == 0:
                raise Broken
            self._left -= 1
            yield rows

    def snapshot(self) -> AbstractContextManager[Rows]:
        return self._storage.snapshot()

    def roomy(self) -> AbstractContextManager[None]:
        return self._storage.roomy()

    def drop(self, table: str) -> None:
        if self._left == 0:
            raise Broken
        self._left -= 1
        self._storage.drop(table)

    def _commit(self, rows: Transaction) -> None:
        if self._left == 0:
            if self._done:
                rows.commit()
            raise Broken
        self._left -= 1
        rows.commit()


class Dying:
    """One transaction of it."""

    def __init__(self, rows: Transaction, commit: Callable[[Transaction], None]) -> None:
        self._rows = rows
        self._commit = commit

    def __getattr__(self, name: str) -> object:
        return getattr(self._rows, name)

    def commit(self) -> None:
        self._commit(self._rows)


class Following(LoginCount):
    """The view of a test, following."""

    mode: Mode = "follow"


def expire(store: Store) -> None:
    """Nobody has given a sign of life for long."""
    with store.storage.transaction() as rows:
        rows.execute("UPDATE rebuilds SET lease_until = ?", (rows.clock() - LEASE,))
        rows.commit()


def history(store: Store) -> list[Recorded]:
    with store.storage.snapshot() as rows:
        return [record.recorded() for record in read_range(rows, 0, 1000)]


def write_as_a_newer_release(store: Store) -> int:
    """An event of a type that this one doesn't know, with the inline views; its position."""
    with store.log.append() as append:
        last = read_range(append.rows, append.head.position - 1, 1)[0]
        position = last.position + 1
        last = last._replace(stream=user_key("eve"), version=1, topic="user.renamed")
        append.write([last._replace(position=position, time=append.now())])
        sql = "UPDATE views SET position = ? WHERE name <> 'daily_activity'"
        append.rows.execute(sql, (position,))
        append.rows.commit()
    return position


def is_login_of(recorded: Recorded, who: str) -> bool:
    return isinstance(recorded.event, events.UserLoggedIn) and recorded.stream == user_key(who)
