"""Views that follow the log: each event once, up to one that can't be applied."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from app.eventstore.feed import LogFeed
from projections.live import POINT, read_live, read_pointers
from projections.rebuild import Differs, Stopped, Swapped
from projections.rebuild_state import read_state
from projections.registry import PROJECTIONS
from projections.runner import Follower, read_stall
from tests.store.intruding import intrude, unseal
from tests.store.rebuilds import (
    Choosy,
    Following,
    build_of,
    history,
    is_login_of,
    rebuild_of,
    rebuilt,
    view,
    write_as_a_newer_release,
)
from tests.store.wishing import log_in, user_key

if TYPE_CHECKING:
    from app.store import Store
    from app.writer import Writer
    from tests.store.conftest import OpenStore


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


@pytest.mark.parametrize("name", [each.name for each in PROJECTIONS])
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
