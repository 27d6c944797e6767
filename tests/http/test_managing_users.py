"""/users: making them, and changing their secrets, permissions, status and sessions."""

from __future__ import annotations

import pytest

from tests.http.administering import (
    NEW,
    NOBODY,
    OPERATIONS,
    is_over,
    login,
    named,
    permit,
    shown,
)
from tests.http.people import Person, types, walk
from tests.http.steps import SECRET, USER_KEY, me, parts, problem

# -- Making users ----------------------------------------------------------------------------------


def test_a_user_that_is_made_can_log_in(people) -> None:
    clerk = people.new("users:write")
    body = {"user_id": f"Made by {clerk.name}".replace(" ", "."), "user_secret": SECRET}
    answer = clerk.post("/users", body)
    assert (answer.status_code, set(answer.json())) == (201, {"user_key"})
    assert answer.headers["cache-control"] == "no-store"
    user_key = answer.json()["user_key"]
    assert USER_KEY.fullmatch(user_key)
    made = Person(people, body["user_id"], user_key, clerk.address)
    made.log_in()
    (registered, *_) = made.history()
    assert (registered.type, registered.actor) == ("user.registered", f"user:{clerk.user_key}")
    told = made.get("/me/events?order=asc&limit=1").json()["items"][0]
    assert (told["data"], told["ip"]) == ({"user_id": body["user_id"]}, None)
    problem(clerk.post("/users", body), 409, "user_id_taken")
    problem(clerk.post("/users", {**body, "user_id": body["user_id"].upper()}), 409,
            "user_id_taken")  # fmt: skip


def test_a_user_is_made_while_registration_is_closed(start_anywhere) -> None:
    root = start_anywhere.people().new("admin")
    start_anywhere.stop()
    root.people = start_anywhere.people(REGISTRATION="closed")
    body = {"user_id": "Bob", "user_secret": SECRET}
    problem(root.people.client.post("/register", json=body), 403, "registration_closed")
    assert root.post("/users", body).status_code == 201


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"user_id": "x"}, "invalid_request", "/user_secret"),
        ({"user_id": "a\x00", "user_secret": SECRET}, "invalid_request", "/user_id"),
        ({"user_id": "", "user_secret": SECRET}, "invalid_request", "/user_id"),
        ({"user_id": "x", "user_secret": "short"}, "unacceptable_secret", "/user_secret"),
        (
            {"user_id": "x", "user_secret": SECRET, "permissions": ["admin"]},
            "invalid_request",
            "/permissions",
        ),
    ],
    ids=ascii,
)
def test_a_user_is_not_made_of_bad_members(root, body, code, pointer) -> None:
    """Security rules 2, 4 and 11."""
    before = walk(root, "/users")
    answer = root.post("/users", body)
    (fault,) = problem(answer, 400, code, "errors")["errors"]
    assert fault["pointer"] == pointer
    assert walk(root, "/users") == before


# -- Secrets, disabling, sessions ------------------------------------------------------------------


def test_a_secret_that_is_reset_ends_all_sessions(root, ada) -> None:
    """Security rule 16."""
    other = ada.again()
    with ada.recording() as recorded:
        answer = root.put(f"{ada.at}/secret", {"user_secret": NEW})
        assert (answer.status_code, answer.content) == (204, b"")
    assert is_over(ada)
    assert is_over(other)
    assert types(recorded) == ["user.secret_changed", *["refresh_token.revoked"] * 2]
    assert {each.data.get("why") for each in recorded[1:]} == {"secret_changed"}
    problem(login(ada), 401, "invalid_credentials")
    ada.log_in(NEW)


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"user_secret": "short"}, "unacceptable_secret", "/user_secret"),
        ({"user_secret": "password1"}, "unacceptable_secret", "/user_secret"),
        ({"user_secret": "a\x00 long enough"}, "invalid_request", "/user_secret"),
        ({}, "invalid_request", "/user_secret"),
        ({"user_secret": NEW, "user_key": NOBODY}, "invalid_request", "/user_key"),
    ],
    ids=ascii,
)
def test_a_bad_secret_resets_nothing(root, ada, body, code, pointer) -> None:
    """Security rules 2, 5 and 11."""
    with ada.recording() as recorded:
        answer = root.put(f"{ada.at}/secret", body)
    assert problem(answer, 400, code, "errors")["errors"][0]["pointer"] == pointer
    assert recorded == []
    assert login(ada).status_code == 200


def test_a_user_that_is_disabled_is_out_at_once(root, ada) -> None:
    """Security rules 9 and 16."""
    other = ada.again()
    with ada.recording() as recorded:
        item = shown(root.post(f"{ada.at}/disable"))
        assert (item["status"], item["live_sessions"]) == ("disabled", 0)
        assert is_over(ada, "user_disabled")
        assert is_over(other, "user_disabled")
        answer = problem(login(ada), 401, "invalid_credentials")
        assert (
            answer["detail"]
            == problem(login(ada, "wrong one"), 401, "invalid_credentials")["detail"]
        )
        assert shown(root.post(f"{ada.at}/disable")) == item
        assert root.get(f"{ada.at}/sessions").json() == {"items": [], "next": None}
    told = [each for each in recorded if each.type != "user.login_failed"]
    assert types(told) == ["user.disabled", *["refresh_token.revoked"] * 2]
    assert {each.data["why"] for each in told[1:]} == {"disabled"}


def test_a_user_that_is_enabled_again_logs_in_anew(root, ada) -> None:
    root.post(f"{ada.at}/disable")
    with ada.recording() as recorded:
        item = shown(root.post(f"{ada.at}/enable"))
        assert (item["status"], item["live_sessions"]) == ("active", 0)
        assert shown(root.post(f"{ada.at}/enable")) == item
    assert types(recorded) == ["user.enabled"]
    assert is_over(ada)
    ada.log_in()
    assert ada.get("/me").status_code == 200


def test_the_secret_of_who_is_disabled_may_be_reset(root, ada) -> None:
    root.post(f"{ada.at}/disable")
    assert root.put(f"{ada.at}/secret", {"user_secret": NEW}).status_code == 204
    problem(login(ada, NEW), 401, "invalid_credentials")
    root.post(f"{ada.at}/enable")
    ada.log_in(NEW)


def test_an_administrator_sees_and_ends_a_user_s_sessions(root, ada) -> None:
    """Security rule 16."""
    other = ada.again()
    answer = root.get(f"{ada.at}/sessions")
    assert [each["session_id"] for each in answer.json()["items"]] == [
        ada.session_id,
        other.session_id,
    ]
    own = ada.get("/sessions").json()["items"]
    assert answer.json()["items"] == [{**each, "current": False} for each in own]
    assert [each["current"] for each in root.get(f"{root.at}/sessions").json()["items"]] == [True]
    with ada.recording() as recorded:
        ended = root.delete(f"{ada.at}/sessions")
        assert (ended.status_code, ended.content) == (204, b"")
        assert root.delete(f"{ada.at}/sessions").status_code == 204
    assert is_over(ada)
    assert is_over(other)
    assert [each.data["why"] for each in recorded] == ["admin", "admin"]
    assert root.get(f"{ada.at}/sessions").json() == {"items": [], "next": None}
    ada.log_in()


# -- Bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("permissions", "pointers"),
    [
        (["ok", "Not"], ["/permissions/1"]),
        (["", "9x", "ok", "a b"], ["/permissions/0", "/permissions/1", "/permissions/3"]),
        (["x" * 65], ["/permissions/0"]),
        (["a\x00"], ["/permissions/0"]),
        ([f"p{each}" for each in range(65)], ["/permissions"]),
        (["p"] * 65, ["/permissions"]),
        (["ok", 1], ["/permissions/1"]),
        ("admin", ["/permissions"]),
        (None, ["/permissions"]),
        ({"admin": True}, ["/permissions"]),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_permissions_that_can_t_be_are_refused(root, ada, permissions, pointers) -> None:
    """Security rules 1 and 2."""
    with ada.recording() as recorded:
        answer = root.put(f"{ada.at}/permissions", {"permissions": permissions})
    body = problem(answer, 400, "invalid_request", "errors")
    assert [fault["pointer"] for fault in body["errors"]] == pointers
    assert recorded == []


def test_64_permissions_can_be_had(root, ada) -> None:
    wanted = sorted(f"p{each}" + "x" * 61 for each in range(10, 74))
    assert {len(each) for each in wanted} == {64}
    assert shown(permit(root, ada, *wanted))["permissions"] == wanted
    token = ada.refreshed().json()["access_token"]
    assert parts(token)[1]["scope"].split() == wanted
    assert me(root.people.client, token).json()["permissions"] == wanted


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.body], ids=named)
@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"{", {}, 400, "invalid_request"),
        (b"", {}, 400, "invalid_request"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        (b" " * 16_385, {}, 413, "too_large"),
    ],
    ids=["half", "empty", "text", "large"],
)
def test_a_body_is_json_and_small(root, ada, operation, content, headers, status, code) -> None:
    """Security rules 1 to 3."""
    path = operation.path.replace("{user_key}", ada.user_key)
    given = {
        "Authorization": f"Bearer {root.access}",
        "Content-Type": "application/json",
        **headers,
    }
    with ada.recording() as recorded:
        answer = root.people.client.request(operation.method, path, content=content, headers=given)
    problem(answer, status, code, *(["errors"] if status == 400 else []))
    assert recorded == []
