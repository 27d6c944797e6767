"""`GET /users/{user_key}` as of a time or a position, on each kind of store."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from app import as_of
from app.timestamps import parse_rfc3339, rfc3339
from tests.http.people import People, Person
from tests.http.steps import problem

NOBODY = "uk_00000000000000000000000000"


@pytest.fixture
def clerk(people: People) -> Person:
    return people.new("users:read")


def as_of_position(clerk: Person, of: Person, position: int) -> dict[str, Any]:
    answer = clerk.get(f"{of.at}?position={position}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


def now(clerk: Person, of: Person) -> dict[str, Any]:
    return clerk.get(of.at).json()


def test_a_user_is_as_it_was_at_each_position(people: People, clerk: Person) -> None:
    ada = people.registered()
    seen = [now(clerk, ada)]
    ada.log_in()
    seen.append(now(clerk, ada))
    people.grant(ada.user_key, "orders:read")
    seen.append(now(clerk, ada))
    ada.again()
    seen.append(now(clerk, ada))
    ada.delete("/sessions")
    seen.append(now(clerk, ada))
    assert [each["live_sessions"] for each in seen] == [0, 1, 1, 2, 0]
    for each in seen:
        assert as_of_position(clerk, ada, each["position"]) == each
    # What others do afterwards is of no matter.
    others = now(clerk, people.new())["position"]
    assert as_of_position(clerk, ada, others) == seen[-1]


def test_a_time_is_told_in_any_of_its_spellings(people: People, clerk: Person) -> None:
    ada = people.new()
    before = now(clerk, ada)
    people.grant(ada.user_key, "orders:read")
    moment = ada.history()[-1].time
    just_before = rfc3339(parse_rfc3339(moment) - 1)
    assert clerk.get(f"{ada.at}?at={just_before}").json() == before
    for spelt in (moment, moment.replace("Z", "z"), quote(moment.replace("Z", "+00:00"))):
        assert clerk.get(f"{ada.at}?at={spelt}").json()["permissions"] == ["orders:read"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("at=", "/at"),
        ("at=noon", "/at"),
        ("at=2026-11-23T17:08:32", "/at"),
        ("at=2026-11-23T17:08:32+00:00", "/at"),  # a plus is a space here
        ("at=2999-01-01", "/at"),
        ("at=9999-12-31T23:59:59-23:59", "/at"),
        ("at=null", "/at"),
        ("at=2026-01-01&at=2026-01-01", "/at"),
        ("position=", "/position"),
        ("position=0", "/position"),
        ("position=-1", "/position"),
        ("position=1.0", "/position"),
        ("position=%D9%A3", "/position"),
        ("position=null", "/position"),
        ("position=1000000000000000000", "/position"),
        ("position=4&at=2026-01-01", "/position"),
        ("Position=4", "/Position"),
        ("after=4", "/after"),
    ],
)
def test_what_is_no_moment_is_refused(people: People, clerk: Person, query, pointer) -> None:
    """Security rule 8."""
    answer = clerk.get(f"{clerk.at}?{query}")
    (fault,) = problem(answer, 400, "invalid_request", "errors")["errors"]
    assert fault["pointer"] == pointer


def test_a_position_beyond_the_head_is_of_another_log(people: People, clerk: Person) -> None:
    for position in (now(clerk, people.new())["position"] + 1, 10**18 - 1):
        problem(clerk.get(f"{clerk.at}?position={position}"), 409, "log_changed")


def test_before_the_registration_and_without_one_there_is_nobody(
    people: People, clerk: Person
) -> None:
    ada = people.registered()
    registered = ada.history()[0]
    assert as_of_position(clerk, ada, registered.position)["status"] == "active"
    earlier = rfc3339(parse_rfc3339(registered.time) - 1)
    queries = (f"position={registered.position - 1}", f"at={earlier}", "at=0001-01-01")
    for query in queries:
        problem(clerk.get(f"{ada.at}?{query}"), 404, "not_found")
        problem(clerk.get(f"/users/{NOBODY}?{query}"), 404, "not_found")
        problem(clerk.get(f"/users/log?{query}"), 404, "not_found")


def test_the_past_needs_the_same_permission(people: People) -> None:
    ada = people.new("users:write")
    for query in ("position=4", "at=2026-01-01", "position=x"):
        problem(ada.get(f"{ada.at}?{query}"), 403, "insufficient_permission", "permission")


def test_a_long_stream_is_read_in_parts(start_anywhere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(as_of, "PAGE", 2)
    people = start_anywhere.people()
    clerk, ada = people.new("users:read"), people.new()
    for _ in range(4):
        ada.again()
    seen = now(clerk, ada)
    assert seen["live_sessions"] == 5
    assert as_of_position(clerk, ada, seen["position"]) == seen
