"""Parameters that nobody reads are refused: what was meant to change something must not pass."""

from __future__ import annotations

import pytest

from tests.http.people import People
from tests.http.steps import problem

PATHS = [
    ("GET", "/me"),
    ("GET", "/me/events"),
    ("GET", "/sessions"),
    ("DELETE", "/sessions"),
    ("DELETE", "/sessions/{session_id}"),
    ("GET", "/users"),
    ("GET", "/users/{user_key}"),
    ("GET", "/users/{user_key}/sessions"),
    ("DELETE", "/users/{user_key}/sessions"),
    ("DELETE", "/users/{user_key}"),
    ("POST", "/users/{user_key}/disable"),
    ("POST", "/users/{user_key}/enable"),
    ("GET", "/keys"),
    ("GET", "/projections"),
    ("DELETE", "/projections/token_lookup/rebuild"),
    ("GET", "/events"),
    ("GET", "/revocations"),
]
BODIES = [
    ("POST", "/register", {"user_id": "x", "user_secret": "a quiet rope of seven"}),
    ("POST", "/refresh", {"refresh_token": "x"}),
    ("POST", "/revoke", {"refresh_token": "x"}),
    ("POST", "/me/secret", {"user_secret": "x", "new_user_secret": "y"}),
    ("POST", "/me/erase", {"user_secret": "a quiet rope of seven"}),
    ("PUT", "/users/{user_key}/permissions", {"permissions": []}),
    ("POST", "/keys/rotate", {}),
    ("POST", "/projections/token_lookup/rebuild", {}),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_one_that_nobody_knows_is_refused_before_anything_is_done(
    people: People, method: str, path: str
) -> None:
    admin = people.new("admin")
    whole = path.format(user_key=admin.user_key, session_id=admin.session_id)
    answer = admin.ask(method, f"{whole}?keep_it=current")
    assert problem(answer, 400, "invalid_request", "errors")["errors"][0]["pointer"] == "/keep_it"
    assert admin.get("/me").status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), BODIES)
def test_beside_a_body_there_is_none(
    people: People, method: str, path: str, body: dict[str, object]
) -> None:
    admin = people.new("admin")
    whole = path.format(user_key=admin.user_key)
    answer = admin.ask(method, f"{whole}?rotate=true", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), answer.text
    assert "parameter" in answer.json()["detail"]
    assert admin.get("/me").status_code == 200
