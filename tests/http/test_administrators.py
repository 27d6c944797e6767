"""/users: what administrators see of users, and what they may do with them."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, NamedTuple

import pytest

from tests.http.people import People, Person, at_once, types, walk
from tests.http.steps import SECRET, USER_KEY, me, parts, problem, seconds

NEW = "seven ropes, all quiet"
NOBODY = "uk_00000000000000000000000000"
MEMBERS = {
    "user_key",
    "user_id",
    "status",
    "permissions",
    "registered_at",
    "last_login_at",
    "live_sessions",
    "position",
}


class Operation(NamedTuple):
    """Something to ask of `/users`, and the permission that it needs."""

    method: str
    path: str
    needs: str
    body: Any = None

    def ask(self, person: Person, of: str):
        return person.ask(self.method, self.path.replace("{user_key}", of), self.body)


READS = [
    Operation("GET", "/users", "users:read"),
    Operation("GET", "/users/{user_key}", "users:read"),
    Operation("GET", "/users/{user_key}/sessions", "users:read"),
]
CHANGES = [
    Operation("DELETE", "/users/{user_key}/sessions", "users:write"),
    Operation("PUT", "/users/{user_key}/permissions", "users:write", {"permissions": []}),
    Operation("PUT", "/users/{user_key}/secret", "users:write", {"user_secret": NEW}),
    Operation("POST", "/users/{user_key}/disable", "users:write"),
    Operation("POST", "/users/{user_key}/enable", "users:write"),
]
CREATION = Operation("POST", "/users", "users:write", {"user_id": "x", "user_secret": SECRET})
OPERATIONS = [*READS, *CHANGES, CREATION]
LISTS = ["/users", "/users/{user_key}/sessions", "/sessions", "/me/events"]


def named(value: object) -> str | None:
    return f"{value.method} {value.path}" if isinstance(value, Operation) else None


@pytest.fixture
def ada(people: People) -> Person:
    return people.new()


@pytest.fixture
def root(people: People) -> Person:
    return people.new("admin")


def lacks(answer, permission: str) -> None:
    assert problem(answer, 403, "insufficient_permission", "permission")["permission"] == permission


def shown(answer) -> dict[str, Any]:
    """The user that is answered."""
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == MEMBERS
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


def permit(person: Person, of: Person, *permissions: str):
    return person.put(f"{of.at}/permissions", {"permissions": list(permissions)})


def login(person: Person, secret: str = SECRET):
    body = {"user_key": person.user_key, "user_secret": secret}
    headers = {"X-Forwarded-For": person.address}
    return person.people.client.post("/authenticate", json=body, headers=headers)


def is_over(person: Person, reason: str = "revoked") -> bool:
    """Whether each of its tokens is refused, the access token too."""
    for answer in (person.get("/me"), person.refreshed(), person.rotated()):
        assert problem(answer, 401, "invalid_token", "reason")["reason"] == reason
    return True


# -- Who may ask ----------------------------------------------------------------------------------


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


# -- Who may give what, and change whom -----------------------------------------------------------


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


# -- Making users ---------------------------------------------------------------------------------


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


# -- Secrets, disabling, sessions -----------------------------------------------------------------


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


# -- Finding users --------------------------------------------------------------------------------


def test_a_user_is_shown_as_it_is_now(people, root) -> None:
    before = time.time()
    ada = people.registered()
    first = shown(root.get(ada.at))
    assert {**first, "registered_at": "", "position": 0} == {
        "user_key": ada.user_key,
        "user_id": ada.name,
        "status": "active",
        "permissions": [],
        "registered_at": "",
        "last_login_at": None,
        "live_sessions": 0,
        "position": 0,
    }
    assert abs(seconds(first["registered_at"]) - before) < 60
    ada.log_in()
    ada.again()
    people.grant(ada.user_key, "b", "a")
    second = shown(root.get(ada.at))
    assert (second["live_sessions"], second["permissions"]) == (2, ["a", "b"])
    assert second["last_login_at"] > second["registered_at"] == first["registered_at"]
    assert second["position"] == ada.history()[-1].position > first["position"]
    assert me(people.client, ada.access).json()["registered_at"] == first["registered_at"]


@pytest.mark.parametrize(
    "name",
    ["Ada.Lovelace", "ada.lovelace", "ADA.LOVELACE", "\uff21\uff24\uff21.lovelace"],
    ids=ascii,
)
def test_a_user_is_found_by_its_name_however_it_is_spelt(people, root, name) -> None:
    """Security rule 4."""
    known = root.people.client.post(
        "/register", json={"user_id": "Ada.Lovelace", "user_secret": SECRET}
    )
    assert known.status_code in {201, 409}
    answer = root.get(f"/users?user_id={name}")
    (item,) = answer.json()["items"]
    assert (item["user_id"], answer.json()["next"]) == ("Ada.Lovelace", None)
    assert "link" not in answer.headers
    assert root.get(f"/users?limit=1&order=desc&user_id={name}").json()["items"] == [item]


@pytest.mark.parametrize(
    "name", ["ada.lovelac", "nobody", "", "%00", "null", NOBODY, "%FF", "%25", "_", "*", "a%20b"]
)
def test_a_name_that_nobody_has_finds_nobody(root, name) -> None:
    """An empty one neither finds everybody."""
    answer = root.get(f"/users?user_id={name}")
    assert (answer.status_code, answer.json()) == (200, {"items": [], "next": None})


def test_a_name_beyond_all_length_is_refused(root) -> None:
    """Security rule 1."""
    assert root.get(f"/users?user_id={'x' * 1024}").json()["items"] == []
    answer = root.get(f"/users?user_id={'x' * 1025}")
    (fault,) = problem(answer, 400, "invalid_request", "errors")["errors"]
    assert fault["pointer"] == "/user_id"


@pytest.mark.parametrize("limit", [1, 3])
def test_pages_lead_to_every_user_in_both_orders(people, root, limit) -> None:
    added = [people.registered().user_key for _ in range(4)]
    keys = [each["user_key"] for each in root.get("/users?limit=1000").json()["items"]]
    assert keys[-4:] == added
    assert len(set(keys)) == len(keys)
    for order, expected in (("asc", keys), ("desc", keys[::-1])):
        found = walk(root, f"/users?limit={limit}&order={order}")
        assert [each["user_key"] for each in found] == expected


def test_users_who_are_added_meanwhile_come_last_and_once(people, root) -> None:
    before = [each["user_key"] for each in walk(root, "/users")]
    added: list[str] = []

    def add() -> None:
        if len(added) < 7:
            added.append(people.registered().user_key)

    found = walk(root, "/users?limit=2", meanwhile=add)
    assert [each["user_key"] for each in found] == before + added
    assert len(added) == 7
    back = walk(root, "/users?order=desc&limit=2", meanwhile=people.registered)
    assert [each["user_key"] for each in back] == (before + added)[::-1]


def test_the_link_says_what_was_asked_but_for_the_place(people, root) -> None:
    people.registered()
    answer = root.get("/users?order=desc&limit=1")
    following = answer.json()["next"]
    link = answer.headers["link"]
    assert link.startswith("<?")
    assert link.endswith('>; rel="next"')
    assert set(link.removeprefix("<?").partition(">")[0].split("&")) == {
        "order=desc",
        "limit=1",
        f"after={following}",
    }


# -- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", LISTS)
def test_a_part_of_a_list_that_can_t_be_is_refused(root, path) -> None:
    path = path.replace("{user_key}", root.user_key)
    wrong = {
        "limit": ["0", "1001", "x", "", "-1", "null", "1.5", "99999999999999999999999"],
        "order": ["up", "ASC", "", "null"],
        "after": ["x", "null", "%00", "-1", "9" * 65],
    }
    for name, texts in wrong.items():
        for text in texts:
            answer = root.get(f"{path}?{name}={text}")
            (fault,) = problem(answer, 400, "invalid_request", "errors")["errors"]
            assert fault["pointer"] == f"/{name}", text
            assert fault["detail"].endswith(".")


@pytest.mark.parametrize("path", LISTS)
def test_the_largest_and_the_smallest_part_can_be_had(root, path) -> None:
    path = path.replace("{user_key}", root.user_key)
    assert len(root.get(f"{path}?limit=1").json()["items"]) == 1
    assert root.get(f"{path}?limit=1000").status_code == 200
    assert root.get(f"{path}?after=").json() == root.get(path).json()


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
