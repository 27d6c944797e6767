"""The benchmarks of stores that grow: the people that fill them, and that each runs to its end.

How long anything takes is looked at by people, and nothing here depends on it.
"""

from __future__ import annotations

import base64
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from app.verifying.store import verify_store
from projections.live import read_pointers
from tests.benchmarks import bench_growth, bench_storing, client, population
from tests.benchmarks.asking import compact
from tests.benchmarks.bench_authenticate import WHEN_BUSY
from tests.benchmarks.bench_growth import Side
from tests.benchmarks.endpoints import STEPS, Case, Step
from tests.benchmarks.figures import ratios, summary
from tests.benchmarks.growth import (
    Asked,
    Growth,
    Rates,
    Size,
    drawn_anew,
    percentile_99,
    summed_up,
)
from tests.benchmarks.load import Generator, LoadError, Tally, Target
from tests.benchmarks.population import Person, opened, populate, visit_on
from tests.benchmarks.processes import Served

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.endpoints import Wire

TINY = Size(turns=1, asked=4, starts=1, loaded=8, seconds=0.2, rated=0.2)


def counted(url: str, sql: str) -> int:
    store = opened(url)
    with store.storage.snapshot() as rows:
        found = rows.fetch(sql)
    store.storage.close()
    return int(found[0][0] or 0)


def test_a_populated_store_is_proved_and_its_views_are_at_the_head(database_url: str) -> None:
    populate(database_url, 48)
    store = opened(database_url)
    with store.storage.snapshot() as rows:
        report = verify_store(rows, store.vault, None, lambda _: None)
        places = {each.position for each in read_pointers(rows).values()}
        topics = {str(topic) for (topic,) in rows.fetch("SELECT DISTINCT topic FROM events")}
        [(users, administrators)] = rows.fetch(
            "SELECT count(*), sum(CASE WHEN permissions = 'admin' THEN 1 ELSE 0 END)"
            " FROM user_directory_v1"
        )
    store.storage.close()
    assert report.ok, report.findings
    assert places == {report.head}
    assert (users, administrators) == (48, 1)
    assert topics >= {
        *("user.registered", "user.logged_in", "user.login_failed", "user.permissions_set"),
        *("refresh_token.issued", "refresh_token.used", "refresh_token.rotated"),
        "refresh_token.revoked",
    }


def test_the_lives_of_a_population_are_told_over_days(sqlite_url: str) -> None:
    populate(sqlite_url, 48)
    days = counted(sqlite_url, "SELECT (max(time) - min(time)) / 86400000000 FROM events")
    assert days == population.DAYS - 1
    assert counted(sqlite_url, "SELECT count(*) FROM daily_activity_v1") >= days
    lives = """
        SELECT count(*) FROM user_directory_v1 d WHERE NOT EXISTS (
            SELECT 1 FROM events e WHERE e.stream = d.user_key AND e.topic = 'user.logged_in'
            AND e.time - d.registered_at < 86400000000)"""
    assert counted(sqlite_url, lives) == 0


def test_people_come_as_often_as_it_says() -> None:
    visits = [[visit_on(number, age) for age in range(60)] for number in range(10)]
    came = [[visit for visit in each if visit is not None] for each in visits]
    assert [len(each) for each in came] == [1, 1, 1, 1, 1, 1, 2, 2, 2, 5]
    assert all(each == list(range(len(each))) for each in came)


def test_a_store_is_kept_until_the_source_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population, "KEPT", tmp_path)
    monkeypatch.setattr(population, "fingerprint", lambda: "one")
    first = population.kept(12)
    made = first.read_bytes()
    assert population.kept(12).read_bytes() == made
    assert population.kept(13) != first
    assert first.exists()
    monkeypatch.setattr(population, "fingerprint", lambda: "another")
    other = population.kept(12)
    assert not first.exists()
    assert other.read_bytes() != made
    monkeypatch.setattr(population, "KEPT_FOR", -1.0)
    made = other.read_bytes()
    assert population.kept(12).read_bytes() != made
    assert [each.name for each in other.parent.parent.iterdir()] == ["12"]


def test_the_source_decides_which_store_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population, "ROOT", tmp_path)
    for name in ("app", "domain", "projections", "tests/benchmarks"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "tests/benchmarks/population.py").write_text("one = 1\n")
    before = population.fingerprint()
    assert population.fingerprint() == before
    (tmp_path / "domain" / "events.py").write_text("two = 2\n")
    assert population.fingerprint() != before


def test_everything_is_asked_of_both_stores(tmp_path: Path) -> None:
    sides = [Side(f"sqlite:///{tmp_path}/{users}.db", users) for users in (24, 48)]
    for side in sides:
        populate(side.url, side.users)
    with bench_growth.serving_all(sides) as servers:
        found = bench_growth.ask_both(TINY, sides, servers)
        assert all(bench_growth.resident_mb(each.pid) > 10 for each in servers)
    assert [each.name for each in found] == [step.name for step in STEPS]
    assert all(min(each.median_ratio.values) > 0 for each in found)
    assert {each.median_ms[place].n for each in found for place in (0, 1)} == {TINY.turns}
    registered = [counted(side.url, "SELECT count(*) FROM user_directory_v1") for side in sides]
    assert registered == [side.users + TINY.turns * TINY.asked for side in sides]


def test_nobody_is_asked_about_twice(sqlite_url: str) -> None:
    populate(sqlite_url, 40)
    with ExitStack() as stack:
        cases = stack.enter_context(bench_growth.Cases(Side(sqlite_url, 40)))
        people = [case.who.number for case in cases.take(12) + cases.take(8)]
        assert len(set(people)) == 20
        assert people != sorted(people)
        with pytest.raises(LoadError, match="fewer than 40 people more"):
            cases.take(40)


def test_the_small_store_has_people_enough_for_every_turn(sqlite_url: str) -> None:
    """The same as for the larger one: nine in ten have an old session, however many there are."""
    users = bench_growth.SMALL_QUICK
    populate(sqlite_url, users)
    with bench_growth.Cases(Side(sqlite_url, users)) as cases:
        assert len(cases.take(users * 9 // 10)) == users * 9 // 10
    for size, small in ((bench_growth.QUICK, users), (bench_growth.SIZE, bench_growth.SMALL)):
        assert size.turns * size.asked <= small * 9 // 10


def test_logins_are_loaded_as_few_at_a_time_as_are_measured(sqlite_url: str) -> None:
    """Each hashes by default: of as many as refresh some would be refused."""
    populate(sqlite_url, 40)
    asked: list[tuple[str, int]] = []

    def generate(target: Target, _: float) -> Tally:
        asked.append((target.path, target.connections))
        if len(asked) == 5:
            raise LoadError("292 of 297 answers were of 400 or more")
        return Tally(7, 1.0)

    def load() -> int:
        generator = Generator("counting", generate)
        return bench_growth.load(generator, TINY, Side(sqlite_url, 40), Served(0, 0))

    assert load() == 21
    assert asked == [("/refresh", 64), ("/authenticate", 16), ("/refresh", 64)]
    with pytest.raises(LoadError) as failed:
        load()
    assert failed.value.__notes__ == [WHEN_BUSY]


def b64url(members: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(compact(**members)).rstrip(b"=").decode()


def an_asked(late: float, requests: int = 800) -> Asked:
    few, many = summary([1.0, 2.0]), summary([1.1, 2.2])
    return Asked(
        "/me",
        requests,
        (few, many),
        (1.5, 1.5 * late),
        ratios(many.values, few.values),
        (200.0, 300.0),
        (0.9 * late, 1.15 * late),
    )


def a_rate() -> Rates:
    few, many = [1000.0, 1000.0, 1000.0], [900.0, 800.0, 1000.0]
    both = summary(few), summary(many)
    return Rates(False, 500, 64, *both, ratios(many, few))


def test_what_grows_too_much_is_told() -> None:
    flat, late = an_asked(1.1), an_asked(1.3)
    assert (flat.verdict, late.verdict) == ("reached", "missed")
    assert an_asked(1.3, requests=80).verdict == "open"
    assert "NOT" not in an_asked(1.3, requests=80).line()
    assert "NOT" not in flat.line()
    assert late.line().split()[1:] == [
        *("1.50", "1.65", "1.10", "1.50", "1.95", "1.30", "1.17-1.49", "300", "1.50"),
        *("NOT", "reached"),
    ]
    starts = (summary([1.0]), summary([1.6]))
    grown = Growth("SQLite", (10, 99), TINY, [flat], starts, summary([1.6]), (90.0, 95.0), 8, 151.0)
    assert [line.count("NOT reached") for line in grown.lines()[-2:]] == [1, 1]
    slow = msgspec.structs.replace(grown, loaded_mb=150.01, rates=[a_rate()])
    assert "150.01 MB after 8 requests" in slow.lines()[-1]
    assert slow.lines()[-3] == (
        "  /refresh at 64 connections, from memory: 0.90 times the rate (0.80 to 1.00);"
        " 1,000 and 900 a second, by 500 people; 3 turns"
    )


def test_a_request_that_is_not_written_though_it_should_be_is_an_error() -> None:
    register, userkey = STEPS[:2]
    register.check(10, 10)
    userkey.check(0, 10)
    for step, events in ((register, 9), (userkey, 1)):
        with pytest.raises(LoadError, match=f"{events} events were written for 10 of {step.name}"):
            step.check(events, 10)


def test_an_answer_about_somebody_else_is_an_error() -> None:
    """As if the service had kept what it said to the one before."""
    ada, bob = (Case(Person(each, f"name{each}", f"uk_{each}"), "", "") for each in (1, 2))

    def access(user_key: str, number: int) -> bytes:
        said = {"sub": user_key, "jti": f"{number}", "sid": "s"}
        return compact(access_token=f"h.{b64url(said)}.s", refresh_token=f"r{number}")

    takes = {step.name: step.take for step in STEPS}
    for number, name in enumerate(
        each for each in takes if each.startswith(("/authenticate", "/refresh", "/oauth/token"))
    ):
        takes[name](ada, access("uk_1", number))
        with pytest.raises(LoadError, match=r"a token's id is .* once more, for name1"):
            takes[name](ada, access("uk_1", number))
        with pytest.raises(LoadError, match="whom a token is for is 'uk_1' and not 'uk_2'"):
            takes[name](bob, access("uk_1", number))
    of_ada: dict[str, object] = {"user_key": "uk_1", "user_id": "name1", "session_id": "s"}
    answers: dict[str, dict[str, object]] = {
        "/userkey": of_ada,
        "/me": of_ada,
        "/oauth/introspect": {"active": True, "username": "name1", "sub": "uk_1"},
        "/me/events": {"items": [{"user_key": "uk_1"}]},
        "/events of a user": {"items": [{"user_key": "uk_1"}]},
    }
    takes["/refresh, a day's first"](bob, access("uk_2", 100))
    for name, answer in answers.items():
        with pytest.raises(LoadError, match="for name2"):
            takes[name](bob, compact(**answer))
    takes["/register"](ada, compact(user_key="uk_9"))
    for told in ("uk_9", "uk_1"):
        with pytest.raises(LoadError, match="once more"):
            takes["/register"](ada, compact(user_key=told))


def test_all_but_one_of_a_hundred_are_at_most_so_late() -> None:
    assert percentile_99([float(number) for number in range(1, 101)]) == 99
    assert percentile_99([float(number) for number in range(200, 0, -1)]) == 198
    assert percentile_99([5.0]) == 5


def test_what_99_of_100_take_is_that_of_all_turns_together() -> None:
    """One late request in a hundred is none of 99 of 100, in whichever turn it came."""
    few = [[1.0] * 50, [1.0] * 49 + [9.0]]
    many = [[2.0] * 50, [2.0] * 48 + [7.0, 9.0]]
    found = summed_up("/me", few, many, (1.0, 1.0))
    assert found.requests == 100
    assert found.late_ms == (1.0, 7.0)
    assert found.late_ratio == 7.0
    assert found.median_ratio.values == (2.0, 2.0)


def test_how_far_99_of_100_spread_is_told_by_drawing_the_requests_anew() -> None:
    """Two late requests of 150 are left out of some sets, and are three of others."""
    usual, late = [(1.0, 1.0)] * 148, [(1.0, 4.0)] * 2
    assert drawn_anew(usual) == (1.0, 1.0)
    assert drawn_anew(usual + late) == (1.0, 4.0)
    assert drawn_anew([(few, 3 * few) for few in (1.0, 2.0, 7.0)] * 50) == (3.0, 3.0)
    assert drawn_anew([(1.0, 4.0)] * 150) == (4.0, 4.0)


def test_both_stores_are_asked_first_in_turn() -> None:
    order: list[str] = []

    class Line:
        def __init__(self, name: str) -> None:
            self.name = name

        def ask(self, request: bytes) -> bytes:
            order.append(f"{self.name}{request.decode()}")
            return b""

    step = Step("x", lambda case: case.who.name.encode(), lambda _, __: None)
    lines = cast("list[Wire]", [Line("few "), Line("many ")])
    cases = [[Case(Person(0, name, ""), "", "") for name in "123"] for _ in lines]
    few, many = bench_growth._turn(step, lines, cases)
    assert (len(few), len(many)) == (3, 3)
    assert order == ["few 1", "many 1", "many 2", "few 2", "few 3", "many 3"]


def test_a_kept_store_is_not_used_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(population, "KEPT", tmp_path)
    before = population.kept(24).read_bytes()
    with population.lent(24) as url:
        store = opened(url)
        with store.storage.transaction() as rows:
            rows.execute("DELETE FROM token_lookup_v1", ())
            rows.commit()
        store.storage.close()
        assert counted(url, "SELECT count(*) FROM token_lookup_v1") == 0
    path = population.kept(24)
    assert path.read_bytes() == before
    assert not list(path.parent.glob("lent-*"))


def test_what_is_stored_is_measured() -> None:
    found = bench_storing.on_sqlite(16)
    events = {each.name: each.events for each in found.kinds}
    assert events["a user"] == 1
    assert events["a login from a known network"] == 2
    assert events["a day of a live session"] == 1
    assert events["the same with 24 uses, each recorded"] == 24
    assert sum(each.whole * each.times for each in found.kinds) > 0
    assert len(found.lines()) == 2 + len(found.kinds)


@pytest.mark.long
def test_what_is_stored_on_postgresql_is_measured() -> None:
    found = bench_storing.on_postgresql(64)
    assert found.store.startswith("PostgreSQL 1")
    assert all(each.whole >= 0 for each in found.kinds)
    assert found.kinds[0].log > 100


@pytest.mark.long
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_growth_is_measured_from_end_to_end(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population, "KEPT", tmp_path)
    measure = {"sqlite": bench_growth.on_sqlite, "postgresql": bench_growth.on_postgresql}[kind]
    found = measure(client.GENERATOR, TINY, 48, 96)
    assert found.users == (48, 96)
    assert found.start_ratio.n == TINY.starts
    assert found.loaded_mb > 10
    assert [each.cold for each in found.rates] == ([False, True] if kind == "sqlite" else [False])
    assert all(each.ratio.least > 0 and each.people == 8 for each in found.rates)
    assert len(found.asked) == len(STEPS)
