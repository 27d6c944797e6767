"""Signing keys over HTTP: the list, the rotation, and what tokens are worth afterwards."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.bootstrap import open_writer
from app.caller import command_line
from app.signing_keys import KeyRotation
from app.writer import Wish
from tests.http.people import People
from tests.http.steps import SECRET, me, parts, problem, register

if TYPE_CHECKING:
    from domain.commands import Command
    from domain.stream import Meta, Recorded
    from projections.storage import Statement


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


def rotate_beside(people: People) -> None:
    """As `gatebook keys rotate --now`, beside the service."""
    with people.store() as store:
        writer = open_writer(store, people.settings)

        async def dispatch(
            command: Command, meta: Meta, rows: tuple[Statement, ...] = ()
        ) -> tuple[Recorded, ...]:
            (answer,) = writer.commit([Wish(command, meta, rows)])
            assert isinstance(answer, tuple)
            return answer

        rotation = KeyRotation(dispatch, store.vault, people.settings)
        asyncio.run(rotation.rotate(command_line(), at_once=True))


def test_the_key_set_is_that_of_the_moment_whoever_changed_it(people: People) -> None:
    old = published(people)
    rotate_beside(people)
    assert not old & published(people)


@pytest.mark.parametrize("way", ["login", "refresh", "rotate", "program"])
def test_who_asks_after_a_leak_gets_a_token_of_the_new_key(people: People, way: str) -> None:
    person = people.new()
    program = {"client_id": person.user_key, "client_secret": SECRET}
    program["grant_type"] = "client_credentials"
    people.client.post("/oauth/token", data=program)
    old = kid_of(person.access)
    rotate_beside(people)
    match way:
        case "login":
            token = person.again().access
        case "program":
            token = people.client.post("/oauth/token", data=program).json()["access_token"]
        case _:
            token = person.refreshed(rotate=way == "rotate").json()["access_token"]
    assert kid_of(token) != old
    assert me(people.client, token).status_code == 200
