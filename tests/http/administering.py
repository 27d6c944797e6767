"""What tests of `/users` share: its operations, and an administrator's steps."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.http.people import Person
from tests.http.steps import SECRET, problem

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
