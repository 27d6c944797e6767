"""GET and DELETE /sessions: where one is logged in, and the end of it."""

from __future__ import annotations

import time

import pytest
import time_machine

from domain.commands import StartSession
from domain.refresh_token import format_session_id
from tests.http.people import People, Person, types, walk
from tests.http.steps import problem, seconds

DAY = 86_400
ENDED = "refresh_token.revoked"
MEMBERS = {
    "session_id",
    "started_at",
    "last_used_at",
    "expires_at",
    "ip",
    "user_agent",
    "current",
    "kind",
}


def listed(person: Person, query: str = "") -> list[dict]:
    answer = person.get(f"/sessions{query}")
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"items", "next"}
    return answer.json()["items"]


def ids(items: list[dict]) -> list[str]:
    return [each["session_id"] for each in items]


def is_over(person: Person, reason: str = "revoked") -> bool:
    """Whether each of its tokens is refused, the access token too."""
    for answer in (person.get("/me"), person.refreshed(), person.rotated()):
        assert problem(answer, 401, "invalid_token", "reason")["reason"] == reason
    return True


def is_live(person: Person) -> bool:
    return person.get("/me").status_code == person.refreshed().status_code == 200


def test_a_login_is_listed_with_what_it_came_from(ada) -> None:
    ada.log_in(**{"User-Agent": "a phone", "X-Forwarded-For": "192.0.2.7"})
    before = time.time()
    answer = ada.get("/sessions")
    assert answer.headers["cache-control"] == "no-store"
    first, second = answer.json()["items"]
    assert answer.json()["next"] is None
    assert set(first) == set(second) == MEMBERS
    assert (first["current"], second["current"]) == (False, True)
    assert second["session_id"] == ada.session_id
    assert (second["ip"], second["user_agent"]) == ("192.0.2.7", "a phone")
    assert first["ip"] == ada.address
    assert (first["kind"], second["kind"]) == ("user", "user")
    assert second["last_used_at"] == second["started_at"]
    assert abs(seconds(second["started_at"]) - before) < 60
    life = seconds(second["expires_at"]) - seconds(second["started_at"])
    assert life == 30 * DAY


def test_the_last_recorded_use_is_what_is_shown(ada) -> None:
    ada.refreshed(headers={"User-Agent": "first", "X-Forwarded-For": "192.0.2.1"})
    successor = ada.rotated(headers={"User-Agent": "second"}).json()["refresh_token"]
    (item,) = listed(ada)
    assert (item["ip"], item["user_agent"]) == (ada.address, "second")
    assert item["last_used_at"] > item["started_at"]
    assert seconds(item["expires_at"]) - seconds(item["last_used_at"]) == 30 * DAY
    ada.refreshed(successor, headers={"User-Agent": "third"})
    assert listed(ada)[0]["user_agent"] == "third"


def test_the_service_session_is_listed_as_one(ada) -> None:
    session_id = format_session_id(ada.session_id[:16].encode())
    ada.people.wish(StartSession(ada.user_key, session_id, "client_credentials", 1))
    own, service = listed(ada)
    assert (own["kind"], service["kind"]) == ("user", "service")
    assert (service["session_id"], service["current"]) == (session_id, False)
    assert (service["ip"], service["user_agent"]) == (None, None)
    assert ada.delete(f"/sessions/{session_id}").status_code == 204
    assert ids(listed(ada)) == [ada.session_id]


def test_one_s_own_sessions_only_are_listed(people, ada) -> None:
    eve = people.new()
    assert ids(listed(ada)) == [ada.session_id]
    assert ids(listed(eve)) == [eve.session_id]


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_pages_lead_to_every_session_in_both_orders(ada, limit) -> None:
    begun = [ada.session_id, *(ada.again().session_id for _ in range(4))]
    assert ids(walk(ada, f"/sessions?limit={limit}")) == begun
    assert ids(walk(ada, f"/sessions?limit={limit}&order=asc")) == begun
    assert ids(walk(ada, f"/sessions?order=desc&limit={limit}")) == begun[::-1]


def test_a_place_whose_session_has_ended_is_still_a_place(ada) -> None:
    begun = [ada, *(ada.again() for _ in range(3))]
    answer = ada.get("/sessions?limit=2")
    ada.delete(f"/sessions/{begun[1].session_id}")
    after = ada.get(f"/sessions?limit=2&after={answer.json()['next']}").json()
    assert ids(after["items"]) == [each.session_id for each in begun[2:]]
    assert len(listed(ada)) == 3


def test_ending_a_session_is_seen_at_once_and_by_it_alone(ada) -> None:
    """Security rule 16."""
    phone, laptop = ada.again(), ada.again()
    with ada.recording() as recorded:
        answer = ada.delete(f"/sessions/{phone.session_id}")
        assert (answer.status_code, answer.content) == (204, b"")
        assert is_over(phone)
        assert is_live(ada)
    assert is_live(laptop)
    assert ids(listed(ada)) == [ada.session_id, laptop.session_id]
    ended = [each for each in recorded if each.type == ENDED]
    assert [each.data for each in ended] == [{"session_id": phone.session_id, "why": "owner"}]


def test_ending_it_again_is_answered_alike_and_changes_nothing(ada) -> None:
    phone = ada.again()
    ada.delete(f"/sessions/{phone.session_id}")
    with ada.recording() as recorded:
        for _ in range(2):
            assert ada.delete(f"/sessions/{phone.session_id}").status_code == 204
    assert recorded == []


def test_whoever_ends_the_session_that_asks_is_out(ada) -> None:
    """Security rule 16."""
    assert ada.delete(f"/sessions/{ada.session_id}").status_code == 204
    assert is_over(ada)
    answer = ada.delete(f"/sessions/{ada.session_id}")
    assert problem(answer, 401, "invalid_token", "reason")["reason"] == "revoked"


@pytest.mark.parametrize(
    "path", ["0" * 22, "x", "%00", "a%00b", "%F0%9F%98%80", "x" * 3_000, "uk_x", "%20"]
)
def test_a_session_that_is_nobody_s_is_not_found(ada, path) -> None:
    """Security rule 8, on each store."""
    with ada.recording() as recorded:
        problem(ada.delete(f"/sessions/{path}"), 404, "not_found")
    assert recorded == []


def test_someone_else_s_session_is_not_found_and_goes_on(people, ada) -> None:
    eve = people.new()
    with ada.recording() as recorded, eve.recording() as of_eve:
        answer = problem(eve.delete(f"/sessions/{ada.session_id}"), 404, "not_found")
        unknown = problem(eve.delete(f"/sessions/{'0' * 22}"), 404, "not_found")
    assert recorded == of_eve == []
    assert answer["detail"] == unknown["detail"]
    assert is_live(ada)
    root = people.new("admin")  # an administrator ends them at /users
    problem(root.delete(f"/sessions/{ada.session_id}"), 404, "not_found")
    assert is_live(ada)


def test_all_sessions_end_at_once(ada) -> None:
    """Security rule 16."""
    others = [ada.again() for _ in range(3)]
    with ada.recording() as recorded:
        answer = ada.delete("/sessions")
    assert (answer.status_code, answer.content) == (204, b"")
    assert all(is_over(each) for each in (ada, *others))
    assert types(recorded) == [ENDED] * 4
    assert {each.data["why"] for each in recorded} == {"end_all"}
    assert is_live(ada.again())  # and one may log in again


def test_all_other_sessions_end(ada) -> None:
    """Security rule 16."""
    others = [ada.again() for _ in range(3)]
    with ada.recording() as recorded:
        assert ada.delete("/sessions?keep=current").status_code == 204
        assert all(is_over(each) for each in others)
    assert is_live(ada)
    assert [each.data["session_id"] for each in recorded] == [each.session_id for each in others]
    with ada.recording() as recorded:
        assert ada.delete("/sessions?keep=current").status_code == 204
    assert recorded == []


@pytest.mark.parametrize(
    "keep", ["", "x", "Current", "null", "current%0A", "curren", "current,", "true"]
)
def test_what_is_to_be_kept_has_one_name(ada, keep) -> None:
    """A mistyped wish ends nothing."""
    with ada.recording() as recorded:
        answer = ada.delete(f"/sessions?keep={keep}")
    (fault,) = problem(answer, 400, "invalid_request", "errors")["errors"]
    assert fault["pointer"] == "/keep"
    assert recorded == []
    assert is_live(ada)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/sessions"), ("DELETE", "/sessions"), ("DELETE", f"/sessions/{'0' * 22}")],
)
def test_sessions_are_for_the_holder_of_an_access_token(ada, method, path) -> None:
    """Security rule 14: and a refresh token is none."""
    answer = ada.people.client.request(method, path)
    problem(answer, 401, "invalid_token")
    assert answer.headers["www-authenticate"] == 'Bearer realm="gatebook"'
    given = {"Authorization": f"Bearer {ada.refresh}"}
    problem(ada.people.client.request(method, path, headers=given), 401, "invalid_token")
    assert is_live(ada)


def test_what_is_over_by_itself_is_not_listed(start) -> None:
    with time_machine.travel(time.time(), tick=True) as clock:
        ada = start.people(SESSION_IDLE="10d", SESSION_MAX="25d").new()
        used, rested = ada.again(), ada.again()
        clock.shift(9 * DAY)
        used.refreshed()
        clock.shift(2 * DAY)  # the others have rested for 11 days
        late = ada.again()
        assert ids(listed(late)) == [used.session_id, late.session_id]
        assert rested.session_id not in ids(listed(late, "?order=desc"))
        clock.shift(7 * DAY)
        late.refreshed()
        used.refreshed()
        clock.shift(8 * DAY)  # 26 days after the start of `used`
        late.log_in()
        assert used.session_id not in ids(listed(late))


@pytest.mark.parametrize("query", ["kep=current", "keep=current&keep=current", "x="])
def test_a_parameter_that_is_mistyped_or_repeated_ends_nothing(people: People, query: str) -> None:
    user = people.new()
    problem(user.delete(f"/sessions?{query}"), 400, "invalid_request", "errors")
    assert user.get("/me").status_code == 200
