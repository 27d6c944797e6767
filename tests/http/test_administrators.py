"""/users: who may ask what, give what, and change whom."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import pytest

from tests.http.administering import (
    CHANGES,
    NEW,
    NOBODY,
    OPERATIONS,
    READS,
    is_over,
    lacks,
    named,
    permit,
    shown,
)
from tests.http.people import People, Person, at_once, walk
from tests.http.steps import parts, problem

# -- Who may ask -----------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
def test_nobody_asks_without_an_access_token(people, ada, operation) -> None:
    """Security rule 14: a refresh token is none."""
    with ada.recording() as recorded:
        path = operation.path.replace("{user_key}", ada.user_key)
        for headers in ({}, {"Authorization": f"Bearer {ada.refresh}"}):
            answer = people.client.request(
                operation.method, path, json=operation.body, headers=headers
            )
            problem(answer, 401, "invalid_token")
    assert recorded == []


@pytest.mark.parametrize(
    "held", [(), ("users:read",), ("users:write",), ("events:read", "users", "users:")], ids=str
)
def test_each_operation_names_the_permission_that_it_needs(people, ada, held) -> None:
    caller = people.new(*held)
    with ada.recording() as recorded, caller.recording() as of_caller:
        for operation in OPERATIONS:
            if operation.needs not in held:
                lacks(operation.ask(caller, ada.user_key), operation.needs)
                lacks(operation.ask(caller, caller.user_key), operation.needs)
                lacks(operation.ask(caller, NOBODY), operation.needs)  # and says nothing else
    assert recorded == of_caller == []


@pytest.mark.parametrize("operation", [*READS, *CHANGES], ids=named)
@pytest.mark.parametrize("held", ["needed", "admin"])
def test_who_holds_it_or_is_an_administrator_may(people, ada, operation, held) -> None:
    caller = people.new(operation.needs if held == "needed" else held)
    assert operation.ask(caller, ada.user_key).status_code in {200, 204}


@pytest.mark.parametrize("operation", [*READS[1:], *CHANGES], ids=named)
def test_who_isn_t_there_is_not_found(root, operation) -> None:
    """Security rule 8: other streams than users' have names too, and no store takes NUL."""
    strange = ["log", "signing_keys", "uk_", "%00", "uk_%00", "%F0%9F%98%80", "x" * 3_000, "%20"]
    for of in (NOBODY, root.user_key.upper(), *strange):
        problem(operation.ask(root, of), 404, "not_found")


def test_a_permission_that_is_withdrawn_stops_at_once(people, root) -> None:
    """Security rule 16: whatever the access token says."""
    clerk = people.new("users:read", "orders:read")
    assert clerk.get("/users").status_code == 200
    shown(permit(root, clerk, "orders:read"))
    lacks(clerk.get("/users"), "users:read")
    assert clerk.get("/me").json()["permissions"] == ["orders:read"]
    assert parts(clerk.access)[1]["scope"] == "orders:read users:read"
    renewed = clerk.refreshed().json()["access_token"]
    assert parts(renewed)[1]["scope"] == "orders:read"


def test_a_permission_that_is_given_works_from_the_next_refresh(people, root) -> None:
    clerk = people.new("orders:read")
    shown(permit(root, clerk, "orders:read", "users:read"))
    lacks(clerk.get("/users"), "users:read")
    assert clerk.get("/me").json()["permissions"] == ["orders:read"]
    clerk.access = clerk.refreshed().json()["access_token"]
    assert clerk.get("/users").status_code == 200
    assert clerk.get("/me").json()["permissions"] == ["orders:read", "users:read"]


def test_one_taken_away_and_given_again_holds_as_before(people, root) -> None:
    clerk = people.new("users:read")
    permit(root, clerk)
    lacks(clerk.get("/users"), "users:read")
    permit(root, clerk, "users:read")
    assert clerk.get("/users").status_code == 200


# -- Who may give what, and change whom ------------------------------------------------------------


def test_permissions_are_set_as_a_whole(root, ada) -> None:
    with ada.recording() as recorded:
        item = shown(permit(root, ada, "orders:write", "a", "orders:read", "a"))
        assert item["permissions"] == ["a", "orders:read", "orders:write"]
        again = shown(permit(root, ada, "orders:read", "orders:write", "a"))
        assert again == item
        assert shown(permit(root, ada, "b"))["permissions"] == ["b"]
        assert shown(permit(root, ada))["permissions"] == []
    assert [each.data["permissions"] for each in recorded] == [
        ("a", "orders:read", "orders:write"),
        ("b",),
        (),
    ]
    assert {each.actor for each in recorded} == {f"user:{root.user_key}"}
    assert {each.ip for each in recorded} == {root.address}


def test_a_caller_gives_only_what_it_holds(people, ada) -> None:
    clerk = people.new("users:write", "orders:read")
    with ada.recording() as recorded:
        lacks(permit(clerk, ada, "orders:read", "orders:write"), "orders:write")
        lacks(permit(clerk, ada, "admin"), "admin")
        lacks(permit(clerk, ada, "users:read"), "users:read")
        lacks(permit(clerk, clerk, "users:write", "orders:read", "admin"), "admin")
    assert recorded == []
    assert shown(permit(clerk, ada, "orders:read", "users:write"))["permissions"] == [
        "orders:read",
        "users:write",
    ]


def test_a_caller_may_leave_and_take_what_it_doesn_t_hold(people, ada) -> None:
    people.grant(ada.user_key, "orders:write", "stock:read")
    clerk = people.new("users:write")
    assert shown(permit(clerk, ada, "stock:read"))["permissions"] == ["stock:read"]
    lacks(permit(clerk, ada, "stock:read", "orders:write"), "orders:write")


def test_a_caller_gives_only_what_its_token_holds_too(people, root, ada) -> None:
    clerk = people.new("users:write")
    permit(root, clerk, "users:write", "orders:read")
    lacks(permit(clerk, ada, "orders:read"), "orders:read")
    clerk.access = clerk.refreshed().json()["access_token"]
    shown(permit(clerk, ada, "orders:read"))


@pytest.mark.parametrize("operation", CHANGES, ids=named)
def test_only_an_administrator_changes_an_administrator(people, root, operation) -> None:
    clerk = people.new("users:read", "users:write")
    with root.recording() as recorded:
        lacks(operation.ask(clerk, root.user_key), "admin")
    assert recorded == []
    assert root.get("/me").status_code == 200
    assert clerk.get(root.at).status_code == 200  # who may read reads


class Alone(NamedTuple):
    """A store of its own, with its only administrator and somebody else."""

    people: People
    root: Person
    ada: Person


@pytest.fixture
def alone(start_anywhere) -> Alone:
    people = start_anywhere.people()
    return Alone(people, people.new("admin", "users:write"), people.new())


def test_the_last_administrator_stays(alone) -> None:
    people, root, ada = alone
    disabled = people.new("admin")
    shown(root.post(f"{disabled.at}/disable"))  # who is disabled doesn't count
    with root.recording() as recorded:
        problem(root.post(f"{root.at}/disable"), 409, "last_administrator")
        problem(permit(root, root), 409, "last_administrator")
        problem(permit(root, root, "users:write"), 409, "last_administrator")
    assert recorded == []
    assert root.get("/users").status_code == 200
    shown(permit(root, root, "admin"))  # other permissions may go
    shown(permit(root, ada, "admin"))
    assert shown(permit(root, root))["permissions"] == []
    lacks(root.get("/users"), "users:read")


def test_the_last_administrator_may_end_sessions_and_change_the_secret(alone) -> None:
    _, root, _ = alone
    assert root.put(f"{root.at}/secret", {"user_secret": NEW}).status_code == 204
    assert is_over(root)
    root.log_in(NEW)
    assert root.delete(f"{root.at}/sessions").status_code == 204
    assert is_over(root)
    root.log_in(NEW)
    assert root.get("/users").status_code == 200


def unmake(one: Person, who: Person, how: str):
    return one.post(f"{who.at}/disable") if how == "disable" else permit(one, who)


@pytest.mark.parametrize("how", ["disable", "strip"])
def test_two_administrators_at_once_don_t_unmake_each_other(alone, how) -> None:
    """Whatever comes first, one is left."""
    people, one, _ = alone
    for _ in range(4):
        other = people.new("admin")
        first, second = at_once(partial(unmake, one, other, how), partial(unmake, other, one, how))
        assert {first.status_code, second.status_code} & {200}
        assert {first.status_code, second.status_code} & {401, 403, 409}
        one = one if first.status_code == 200 else other
        (left,) = [
            each["user_key"]
            for each in walk(one, "/users")
            if each["status"] == "active" and "admin" in each["permissions"]
        ]
        assert left == one.user_key
