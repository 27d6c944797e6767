"""What happens side by side: logins and ends of sessions, many logins, two processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import httpx
import pytest

from tests.http.people import WAIT, People, Person, at_once, types
from tests.http.steps import SECRET, problem
from tests.running import running_all, settings

ROUNDS = 8
NEW = "seven ropes, all quiet"


def logins(person: Person, count: int) -> list[partial[httpx.Response]]:
    """So many right logins to begin."""
    body = {"user_key": person.user_key, "user_secret": SECRET}
    headers = {"X-Forwarded-For": person.address}
    post = partial(person.people.client.post, "/authenticate", json=body, headers=headers)
    return [post] * count


def of(person: Person, answer: httpx.Response) -> Person:
    """The person with these tokens."""
    other = Person(person.people, person.name, person.user_key, person.address)
    other.access, other.refresh = answer.json()["access_token"], answer.json()["refresh_token"]
    return other


def test_a_login_ends_with_all_sessions_or_begins_after_them(people) -> None:
    """Security rule 17."""
    ada = people.new()
    for _ in range(ROUNDS):
        ada.log_in()
        first, *rest = logins(ada, 6)
        *answers, ended = at_once(first, *rest, partial(ada.delete, "/sessions"))
        assert ended.status_code == 204
        started = [of(ada, each) for each in answers]
        history = ada.history()
        last = max(each.position for each in history if each.data.get("why") == "end_all")
        begun = {
            each.data["session_id"]: each.position
            for each in history
            if each.type == "user.logged_in"
        }
        for person in started:
            lives = begun[person.session_id] > last
            assert (person.refreshed().status_code == 200) == lives
            assert (person.get("/me").status_code == 200) == lives


def test_no_login_survives_its_user_s_disabling(people) -> None:
    """Security rule 17."""
    root, ada = people.new("admin"), people.registered()
    for _ in range(ROUNDS):
        first, *rest = logins(ada, 6)
        *answers, disabled = at_once(first, *rest, partial(root.post, f"{ada.at}/disable"))
        assert disabled.status_code == 200
        started = [of(ada, each) for each in answers if each.status_code == 200]
        for each in answers:
            if each.status_code != 200:
                problem(each, 401, "invalid_credentials")
        for person in started:
            problem(person.refreshed(), 401, "invalid_token", "reason")
        enabled = root.post(f"{ada.at}/enable").json()
        assert enabled["live_sessions"] == 0
        for person in started:
            for refused in (person.refreshed(), person.get("/me")):
                assert problem(refused, 401, "invalid_token", "reason")["reason"] == "revoked"


def test_many_right_logins_at_once_refuse_none_and_are_no_failures(people) -> None:
    """Security rule 18: more of them than failures are allowed, and than sessions are kept."""
    ada = people.new()
    with ada.recording() as recorded:
        answers = at_once(*logins(ada, 120))
    assert {each.status_code for each in answers} == {200}
    found = types(recorded)
    assert found.count("user.logged_in") == 120
    assert "user.login_failed" not in found
    ended = [each for each in recorded if each.type == "refresh_token.revoked"]
    assert [each.data["why"] for each in ended] == ["limit"] * 21  # the first login's one too
    assert ended[0].data["session_id"] == ada.session_id
    latest = of(ada, answers[-1]).again()
    assert len(latest.get("/sessions?limit=1000").json()["items"]) == 100


@pytest.fixture
def two(postgres_url: str) -> Iterator[list[People]]:
    """Two processes of one store."""
    given = settings(postgres_url, ISSUER="https://auth.example.org", TRUSTED_PROXIES="127.0.0.1")
    with running_all(given, given) as servers, ExitStack() as stack:
        yield [
            People(
                stack.enter_context(
                    httpx.Client(base_url=f"http://127.0.0.1:{each.port}", timeout=WAIT)
                ),
                given,
            )
            for each in servers
        ]


def test_what_one_process_has_answered_the_other_knows(two) -> None:
    """Security rule 16."""
    here, there = two
    root, ada = here.new("admin"), here.new("users:read")

    def elsewhere(person: Person) -> Person:
        other = Person(there, person.name, person.user_key, person.address)
        other.access, other.refresh = person.access, person.refresh
        return other

    def reason(answer: httpx.Response) -> str:
        return problem(answer, 401, "invalid_token", "reason")["reason"]

    assert elsewhere(ada).get("/users").status_code == 200
    root.put(f"{ada.at}/permissions", {"permissions": []})
    problem(elsewhere(ada).get("/users"), 403, "insufficient_permission", "permission")

    successor = ada.rotated().json()["refresh_token"]
    assert elsewhere(ada).rotated().json()["refresh_token"] == successor
    elsewhere(ada).refreshed(successor)
    assert reason(ada.refreshed()) == "retired"

    phone = ada.again()
    assert elsewhere(phone).get("/me").status_code == 200
    ada.delete(f"/sessions/{phone.session_id}")
    assert reason(elsewhere(phone).get("/me")) == reason(elsewhere(phone).refreshed()) == "revoked"

    phone = ada.again()
    ada.post("/me/secret", {"user_secret": SECRET, "new_user_secret": NEW})
    assert reason(elsewhere(phone).refreshed()) == "revoked"
    body = {"user_key": ada.user_key, "user_secret": SECRET}
    problem(there.client.post("/authenticate", json=body), 401, "invalid_credentials")

    root.post(f"{ada.at}/disable")
    assert reason(elsewhere(ada).get("/me")) == "user_disabled"
    body["user_secret"] = NEW
    problem(there.client.post("/authenticate", json=body), 401, "invalid_credentials")
