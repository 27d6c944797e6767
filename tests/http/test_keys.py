"""Signing keys over HTTP: the list, the rotation, and what tokens are worth afterwards."""

from __future__ import annotations

import pytest

from tests.http.people import People
from tests.http.steps import me, parts, problem, register


def kid_of(token: str) -> str:
    return parts(token)[0]["kid"]


def published(people: People) -> set[str]:
    return {key["kid"] for key in people.client.get("/.well-known/jwks.json").json()["keys"]}


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [("GET", "/keys", "keys:read"), ("POST", "/keys/rotate", "keys:write")],
)
def test_who_may_not_is_told_which_permission_is_missing(
    people: People, method: str, path: str, permission: str
) -> None:
    body: dict[str, bool] | None = {} if method == "POST" else None
    answer = people.new("users:read").ask(method, path, body)
    assert problem(answer, 403, "insufficient_permission", "permission")["permission"] == permission
    assert people.new(permission).ask(method, path, body).status_code == 200


def test_a_rotation_publishes_the_next_key_and_repeated_changes_nothing(people: People) -> None:
    admin = people.new("admin")
    first = admin.post("/keys/rotate", {}).json()["items"]
    again = admin.post("/keys/rotate", {"now": False}).json()["items"]
    assert again == first == admin.get("/keys").json()["items"]
    waiting = [item for item in first if item["state"] == "next"]
    assert len(waiting) == 1
    assert waiting[0]["kid"] in published(people)
    assert set(waiting[0]) == {
        *("kid", "algorithm", "state", "created_at", "active_from"),
        *("retired_at", "published_until"),
    }


def test_at_once_nothing_that_the_old_key_signed_is_accepted(people: People) -> None:
    admin = people.new("admin")
    old = admin.access
    assert admin.post("/keys/rotate", {"now": True}).status_code == 200
    assert kid_of(old) not in published(people)
    problem(me(people.client, old), 401, "invalid_token")
    asked = people.client.post(
        "/oauth/introspect",
        data={"token": old},
        headers={"Authorization": f"Bearer {old}"},
    )
    assert asked.status_code == 401
    admin.log_in()
    assert kid_of(admin.access) != kid_of(old)
    states = {item["kid"]: item["state"] for item in admin.get("/keys").json()["items"]}
    assert (states[kid_of(old)], states[kid_of(admin.access)]) == ("withdrawn", "active")
    revoked = people.client.get("/revocations").json()["items"]
    assert kid_of(old) in {item.get("kid") for item in revoked}


def test_a_session_outlives_the_key_that_signed_its_tokens(people: People) -> None:
    admin, user = people.new("admin"), people.new()
    admin.post("/keys/rotate", {"now": True})
    assert me(people.client, user.access).status_code == 401
    token = user.refreshed().json()["access_token"]
    assert me(people.client, token).status_code == 200
    assert register(people.client, f"{user.name}-too")
