"""POST /me/erase and DELETE /users/{user_key}: a user goes, and what is said of it afterwards."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.buckets_postgres import row_name
from app.erasing import unfinished
from app.throttle import account_claims
from domain.commands import DisableUser
from tests.http.people import WAIT, People, Person, at_once, types, walk
from tests.http.steps import SECRET, problem
from tests.running import running_all, settings
from tests.store.intruding import intrude

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.http.conftest import Starting

UNKNOWN = "/users/uk_00000000000000000000000000"


@pytest.fixture
def admin(people: People) -> Person:
    return people.new("admin")


def erase(person: Person, secret: str = SECRET) -> httpx.Response:
    return person.post("/me/erase", {"user_secret": secret})


def login(person: Person, secret: str = SECRET, user_key: str = "") -> httpx.Response:
    body = {"user_key": user_key or person.user_key, "user_secret": secret}
    headers = {"X-Forwarded-For": person.address}
    return person.people.client.post("/authenticate", json=body, headers=headers)


def is_done(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["cache-control"] == "no-store"


@contextmanager
def read_open(people: People) -> Iterator[None]:
    """Somebody reads the store, and goes on."""
    with people.store() as store, store.storage.snapshot() as rows:
        assert rows.fetch("SELECT count(*) FROM events")
        yield


def test_who_erases_itself_is_over_at_once(ada: Person) -> None:
    """Security rule 16."""
    other = ada.again()
    with ada.recording() as recorded:
        is_done(erase(ada))
        for each in (ada, other):
            for refused in (each.get("/me"), each.refreshed(), each.rotated()):
                assert problem(refused, 401, "invalid_token", "reason")["reason"] == "revoked"
        problem(login(ada), 401, "invalid_credentials")
        named = {"user_id": ada.name, "user_secret": SECRET}
        problem(ada.people.client.post("/userkey", json=named), 401, "invalid_credentials")
        problem(erase(ada), 401, "invalid_token", "reason")
    assert types(recorded) == [*["refresh_token.revoked"] * 2, "user.erased"]
    assert [each.data for each in recorded] == [
        *({"session_id": each.session_id, "why": "erased"} for each in (ada, other)),
        {},
    ]
    assert {each.actor for each in recorded} == {f"user:{ada.user_key}"}


def test_its_ended_sessions_are_on_the_revocation_feed(ada: Person) -> None:
    is_done(erase(ada))
    items = ada.people.client.get("/revocations", params={"limit": 1000}).json()["items"]
    assert ada.session_id in {each.get("session_id") for each in items}


def test_a_wrong_secret_erases_nobody(ada: Person) -> None:
    with ada.recording() as recorded:
        problem(erase(ada, "not the secret"), 401, "invalid_credentials")
        problem(ada.post("/me/erase", {}), 400, "invalid_request", "errors")
        more = {"user_secret": SECRET, "sure": True}
        problem(ada.post("/me/erase", more), 400, "invalid_request", "errors")
    assert [each for each in types(recorded) if each != "user.login_failed"] == []
    assert ada.get("/me").status_code == 200


def test_guesses_at_the_secret_are_counted_as_those_of_a_login(ada: Person) -> None:
    """Security rule 18: the bearer's token makes no guess free."""
    answers = [erase(ada, f"wrong guess {each}") for each in range(101)]
    assert {each.status_code for each in answers[:100]} == {401}
    problem(answers[100], 429, "too_many_attempts")


def test_an_administrator_erases_and_repeating_it_changes_nothing(
    ada: Person, admin: Person
) -> None:
    with ada.recording() as recorded:
        is_done(admin.delete(ada.at))
        is_done(admin.delete(ada.at))
        problem(ada.get("/me"), 401, "invalid_token", "reason")
    assert types(recorded) == ["refresh_token.revoked", "user.erased"]
    assert {each.actor for each in recorded} == {f"user:{admin.user_key}"}
    problem(admin.delete(UNKNOWN), 404, "not_found")
    problem(admin.delete("/users/signing_keys"), 404, "not_found")


def test_who_may_not_erases_nobody(people: People, ada: Person, admin: Person) -> None:
    for held, missing, whom in [
        ((), "users:write", ada),
        (("users:read",), "users:write", ada),
        (("users:write",), "admin", admin),
    ]:
        asked = people.new(*held).delete(whom.at)
        assert problem(asked, 403, "insufficient_permission", "permission")["permission"] == missing
        assert whom.get("/me").status_code == 200
    is_done(people.new("users:write").delete(ada.at))


def test_a_disabled_user_is_erased(people: People, ada: Person, admin: Person) -> None:
    people.wish(DisableUser(ada.user_key))
    is_done(admin.delete(ada.at))
    assert admin.get(ada.at).json()["status"] == "erased"


def test_the_last_administrator_stays(start_anywhere: Starting) -> None:
    people = start_anywhere.people()
    only, ada = people.new("admin"), people.new()
    problem(erase(only), 409, "last_administrator")
    problem(only.delete(only.at), 409, "last_administrator")
    assert only.get("/me").status_code == 200
    people.grant(ada.user_key, "admin")
    is_done(erase(only))
    problem(erase(ada), 409, "last_administrator")


def test_whoever_looks_sees_that_a_person_was_erased(
    people: People, ada: Person, admin: Person
) -> None:
    bob = people.new()
    people.grant(ada.user_key, "users:write")
    ada.log_in()
    assert ada.delete(f"{bob.at}/sessions").status_code == 204
    assert any(each.ip == ada.address for each in bob.history())
    is_done(erase(ada))
    shown = admin.get(ada.at).json()
    assert (shown["status"], shown["user_id"], shown["permissions"]) == ("erased", None, [])
    assert shown["live_sessions"] == 0
    assert shown in walk(admin, "/users?limit=50")
    assert admin.get(f"/users?user_id={ada.name}").json()["items"] == []
    assert admin.get(f"{ada.at}/sessions").json()["items"] == []
    for change in (admin.post(f"{ada.at}/enable"), admin.post(f"{ada.at}/disable")):
        problem(change, 404, "not_found")
    problem(admin.put(f"{ada.at}/secret", {"user_secret": "another secret"}), 404, "not_found")
    bob.log_in()
    by_ada = [
        each
        for each in bob.get("/me/events?limit=100").json()["items"]
        if each["actor"] == f"user:{ada.user_key}"
    ]
    assert [each["type"] for each in by_ada] == ["refresh_token.revoked"]
    assert {(each["ip"], each["user_agent"], each["erased"]) for each in by_ada} == {
        (None, None, True)
    }
    told = ada.history()
    assert told[0].data == {"user_id": None}
    assert {(each.ip, each.user_agent, each.erased) for each in told} == {(None, None, True)}


def test_the_name_is_free_at_once_and_its_next_holder_is_somebody_else(
    people: People, ada: Person, admin: Person
) -> None:
    """Security rule 15."""
    is_done(erase(ada))
    again = people.new(name=ada.name.upper())
    assert again.user_key != ada.user_key
    assert [
        each["user_key"] for each in admin.get(f"/users?user_id={ada.name}").json()["items"]
    ] == [again.user_key]
    problem(ada.get("/me"), 401, "invalid_token", "reason")
    assert admin.get(ada.at).json()["user_id"] is None


def test_an_erased_user_is_answered_as_an_unknown_one(ada: Person) -> None:
    """Security rule 9."""

    def said(answer: httpx.Response) -> tuple[int, Any, set[str]]:
        return answer.status_code, {**answer.json(), "request_id": ""}, {*answer.headers}

    is_done(erase(ada))
    with ada.recording() as recorded:
        unknown = login(ada, user_key=UNKNOWN.removeprefix("/users/"))
        assert said(login(ada)) == said(login(ada, "another secret")) == said(unknown)
    assert recorded == []


def test_guesses_at_an_erased_user_leave_no_row_that_is_keyed_by_it(postgres_url: str) -> None:
    """Security rule 9: they are counted as those at an unknown one."""
    given = settings(postgres_url, TRUSTED_PROXIES="127.0.0.1")
    with running_all(given) as (server,), intrude(postgres_url) as intruder:
        here = f"http://127.0.0.1:{server.port}"
        with httpx.Client(base_url=here, timeout=WAIT) as client:
            people = People(client, given)
            ada = people.new()
            with people.store() as store:
                (claim,) = account_claims(ada.user_key, [])
                row = row_name(store.ring.network, claim)

            def is_counted() -> bool:
                problem(login(ada, "a wrong guess"), 401, "invalid_credentials")
                return bool(intruder.run("SELECT 1 FROM budgets WHERE key = ?", (row,)))

            # From where she never was: at the place that she knows she has a bucket of her own.
            ada.address = "10.200.0.1"
            assert is_counted()
            is_done(erase(ada))
            assert not is_counted()


def test_one_of_many_that_erase_at_once_is_recorded(ada: Person, admin: Person) -> None:
    others = [ada.again() for _ in range(3)]
    with ada.recording() as recorded:
        answers = at_once(
            *[lambda each=each: erase(each) for each in (ada, *others)],
            *[lambda: admin.delete(ada.at)] * 3,
        )
    assert {each.status_code for each in answers} <= {204, 401}
    assert [each.status_code for each in answers[4:]] == [204] * 3
    assert types(recorded) == [*["refresh_token.revoked"] * 4, "user.erased"]


def test_beside_an_open_read_it_goes_on_in_the_background(start: Starting) -> None:
    """The service says so, and knows it when it starts again."""
    people = start.people()
    admin, ada, bob = people.new("admin"), people.new(), people.new()
    with read_open(people):
        for answer in (erase(ada), admin.delete(ada.at), admin.delete(ada.at)):
            assert (answer.status_code, answer.json()) == (202, {})
        assert admin.get(ada.at).json()["status"] == "erased"
        problem(login(ada), 401, "invalid_credentials")
        assert login(bob).status_code == 200
        start.stop()
        people = start.people()
        admin.people = people
        with people.store() as store:
            assert list(unfinished(store.storage)) == [ada.user_key]
        assert admin.delete(ada.at).status_code == 202
    is_done(admin.delete(ada.at))
    with people.store() as store:
        assert unfinished(store.storage) == {}


def test_whoever_was_erased_long_ago_isnt_held_up_by_another(start: Starting) -> None:
    people = start.people()
    admin, ada, bob = people.new("admin"), people.new(), people.new()
    is_done(admin.delete(ada.at))
    with read_open(people):
        assert admin.delete(bob.at).status_code == 202
        is_done(admin.delete(ada.at))


def test_what_one_process_erased_no_other_knows(postgres_url: str) -> None:
    """Security rules 16 and 19: whatever the other has in memory."""
    given = settings(postgres_url, TRUSTED_PROXIES="127.0.0.1")
    with running_all(given, given) as servers:
        clients = [
            httpx.Client(base_url=f"http://127.0.0.1:{each.port}", timeout=WAIT) for each in servers
        ]
        here, there = (People(client, given) for client in clients)
        admin, ada = there.new("admin"), here.new()
        elsewhere = Person(there, ada.name, ada.user_key, ada.address)
        elsewhere.log_in()
        # Now the other process has her name, her keys and her state.
        assert elsewhere.get("/me").json()["user_id"] == ada.name
        assert elsewhere.rotated().status_code == 200
        assert admin.get(ada.at).json()["user_id"] == ada.name
        is_done(erase(ada))
        for refused in (elsewhere.get("/me"), elsewhere.refreshed(), elsewhere.rotated()):
            assert problem(refused, 401, "invalid_token", "reason")["reason"] == "revoked"
        problem(login(elsewhere), 401, "invalid_credentials")
        shown = admin.get(ada.at).json()
        assert (shown["user_id"], shown["status"]) == (None, "erased")
        assert ada.name not in admin.get("/users?limit=1000").text
        again = Person(there, ada.name, there.new(name=ada.name).user_key, ada.address)
        assert again.user_key != ada.user_key
        for client in clients:
            client.close()
        said = b"".join(each.said for each in servers).decode()
    for hidden in (ada.name, ada.address, "python-httpx"):
        assert hidden not in said
    assert types(ada.history())[-1] == "user.erased"
