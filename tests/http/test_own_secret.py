"""POST /me/secret: another secret, for whoever knows the one until now."""

from __future__ import annotations

import pytest

from app.throttle import STRANGERS
from tests.http.people import Person, at_once, types
from tests.http.steps import SECRET, problem

NEW = "seven ropes, all quiet"


def change(person: Person, secret: str = SECRET, new: str = NEW):
    return person.post("/me/secret", {"user_secret": secret, "new_user_secret": new})


def login(person: Person, secret: str):
    body = {"user_key": person.user_key, "user_secret": secret}
    headers = {"X-Forwarded-For": person.address}
    return person.people.client.post("/authenticate", json=body, headers=headers)


def is_unchanged(person: Person) -> bool:
    return login(person, SECRET).status_code == 200 and person.get("/me").status_code == 200


def test_changing_the_secret_ends_all_other_sessions(ada) -> None:
    """Security rule 16."""
    others = [ada.again(), ada.again()]
    with ada.recording() as recorded:
        answer = change(ada)
        assert (answer.status_code, answer.content) == (204, b"")
        for each in others:
            for refused in (each.get("/me"), each.refreshed(), each.rotated()):
                body = problem(refused, 401, "invalid_token", "reason")
                assert body["reason"] == "revoked"
    assert types(recorded) == ["user.secret_changed", *["refresh_token.revoked"] * 2]
    assert [each.data for each in recorded] == [
        {},
        *({"session_id": each.session_id, "why": "secret_changed"} for each in others),
    ]
    assert ada.get("/me").status_code == ada.refreshed().status_code == 200
    problem(login(ada, SECRET), 401, "invalid_credentials")
    assert login(ada, NEW).status_code == 200
    named = {"user_id": ada.name, "user_secret": NEW}
    assert ada.people.client.post("/userkey", json=named).json() == {"user_key": ada.user_key}


def test_a_wrong_secret_changes_nothing(ada) -> None:
    with ada.recording() as recorded:
        answer = change(ada, "not the secret")
    problem(answer, 401, "invalid_credentials")
    assert answer.headers["www-authenticate"] == 'Bearer realm="gatebook"'
    assert [each for each in types(recorded) if each != "user.login_failed"] == []
    assert is_unchanged(ada)


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("short", "at least 8"),
        ("x" * 1025, "1024"),
        ("password1", "most used"),
        ("gatebook", "name of this service"),
        ("{name}{name}", "user_id"),
    ],
)
def test_the_new_secret_has_to_be_acceptable(ada, new, said) -> None:
    """Security rule 11; and the secret until now is not looked at for it."""
    with ada.recording() as recorded:
        answer = change(ada, new=new.replace("{name}", ada.name))
    (fault,) = problem(answer, 400, "unacceptable_secret", "errors")["errors"]
    assert fault["pointer"] == "/new_user_secret"
    assert said in fault["detail"].replace(",", "")
    assert recorded == []
    assert is_unchanged(ada)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"user_secret": SECRET}, "/new_user_secret"),
        ({"new_user_secret": NEW}, "/user_secret"),
        ({"user_secret": SECRET, "new_user_secret": NEW, "user_key": "uk_x"}, "/user_key"),
        ({"user_secret": SECRET, "new_user_secret": None}, "/new_user_secret"),
        ({"user_secret": "a\x00 long enough", "new_user_secret": NEW}, "/user_secret"),
        ({"user_secret": SECRET, "new_user_secret": "\ud800 long enough"}, "/new_user_secret"),
    ],
    ids=ascii,
)
def test_its_members_are_the_two_secrets(ada, body, pointer) -> None:
    """Security rules 2 and 5."""
    with ada.recording() as recorded:
        answer = ada.post("/me/secret", body)
    assert answer.status_code == 400, answer.text
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]
    assert recorded == []
    assert is_unchanged(ada)


def test_it_is_for_the_holder_of_an_access_token(ada) -> None:
    """Security rule 14: the secret alone is not enough, nor is a refresh token."""
    body = {"user_secret": SECRET, "new_user_secret": NEW}
    client = ada.people.client
    problem(client.post("/me/secret", json=body), 401, "invalid_token")
    given = {"Authorization": f"Bearer {ada.refresh}"}
    problem(client.post("/me/secret", json=body, headers=given), 401, "invalid_token")
    assert is_unchanged(ada)


def test_of_two_changes_at_once_one_counts(ada) -> None:
    """Neither is half done: the other is refused, or came after it."""
    other = ada.again()
    with ada.recording() as recorded:
        first, second = at_once(
            lambda: change(ada, new="the first of two"), lambda: change(other, new="the second one")
        )
    assert sorted([first.status_code, second.status_code]) == [204, 401]
    won = "the first of two" if first.status_code == 204 else "the second one"
    assert types(recorded).count("user.secret_changed") == 1
    assert login(ada, won).status_code == 200
    problem(login(ada, SECRET), 401, "invalid_credentials")


def test_networks_of_whoever_knew_the_old_secret_are_known_no_more(ada) -> None:
    """Security rule 18: they would have guesses of their own at the new one."""
    elsewhere = ada.again()
    elsewhere.address = "198.51.100.7"
    assert login(elsewhere, SECRET).status_code == 200
    assert change(ada).status_code == 204
    strangers = Person(ada.people, ada.name, ada.user_key, "192.0.2.1")
    assert {login(strangers, SECRET).status_code for _ in range(STRANGERS)} == {401}
    for each in (strangers, elsewhere):
        problem(login(each, NEW), 429, "too_many_attempts")
    assert login(ada, NEW).status_code == 200
