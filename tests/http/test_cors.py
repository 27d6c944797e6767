"""Which pages of other origins may call the API (security rule 24)."""

from __future__ import annotations

import pytest

from tests.http.steps import SECRET

PAGE = "https://shop.example.org"
PREFLIGHT = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
OPEN = ["/register", "/authenticate", "/refresh", "/userkey", "/revoke", "/me", "/sessions"]


@pytest.mark.parametrize("path", OPEN)
def test_a_page_that_was_named_may_ask_for_a_user(start, path: str) -> None:
    api = start(CORS_ORIGINS=PAGE)
    answer = api.options(path, headers=PREFLIGHT)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in answer.headers
    read = api.get(path, headers={"Origin": PAGE})
    assert read.headers["access-control-allow-origin"] == PAGE
    assert read.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", ["https://evil.example.org", "null", f"{PAGE}.evil.example"])
def test_any_other_may_not(start, origin: str) -> None:
    api = start(CORS_ORIGINS=PAGE)
    preflight = api.options("/register", headers={**PREFLIGHT, "Origin": origin})
    assert "access-control-allow-origin" not in preflight.headers
    assert "access-control-allow-methods" not in preflight.headers
    body = {"user_id": "Ada", "user_secret": SECRET}
    answer = api.post("/register", json=body, headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/users", "/keys", "/oauth/token", "/metrics"])
def test_what_is_for_administrators_and_machines_stays_closed(start, path: str) -> None:
    answer = start(CORS_ORIGINS=PAGE).options(path, headers=PREFLIGHT)
    assert "access-control-allow-origin" not in answer.headers


def test_unless_a_page_is_named_nobody_may(api) -> None:
    answer = api.options("/register", headers=PREFLIGHT)
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/revocations"]
)
def test_what_verifiers_need_is_open_to_all(api, path: str) -> None:
    answer = api.get(path, headers={"Origin": "https://anybody.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
