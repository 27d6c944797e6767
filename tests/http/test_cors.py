"""Which pages of other origins may call the API (security rule 24)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.application import application
from app.http.cors import Cors
from app.settings import load
from tests.http.steps import ISSUER, SECRET
from tests.running import settings

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


def test_a_page_reads_why_it_is_refused_and_when_to_come_again(start) -> None:
    answer = start(CORS_ORIGINS=PAGE).get(
        "/me", headers={"Origin": PAGE, "Authorization": "Bearer none"}
    )
    assert answer.status_code == 401
    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert exposed == ["link", "retry-after", "www-authenticate", "x-request-id"]


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


# --- what verifiers need

ANYBODY = "https://anybody.example"
ASKED_WITH = ("last-event-id", "if-none-match", "if-modified-since", "cache-control")
METADATA = "/.well-known/oauth-authorization-server"
OTHER_LOG = f"after={'A' * 22}:1"
RETRY = (b"retry-after", b"1")
OPEN_TO_ALL = ["/.well-known/jwks.json", METADATA, "/revocations", "/revocations/stream"]


def expect_open_to_all(answer) -> None:
    headers = answer.headers
    assert headers.get_list("access-control-allow-origin") == ["*"]
    exposed = headers["access-control-expose-headers"].lower().split(", ")
    assert exposed == ["etag", "link", "retry-after", "x-request-id"]
    assert "access-control-allow-credentials" not in headers
    assert "vary" not in headers


@pytest.mark.parametrize("named", ["", PAGE])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/.well-known/jwks.json", 200),
        (METADATA, 200),
        (f"{METADATA}/nothing", 404),
        ("/revocations", 200),
        ("//revocations/", 200),
        ("/revocations?limit=0", 400),
        ("/revocations?unknown=1", 400),
        (f"/revocations?{OTHER_LOG}", 409),
        ("/revocations/stream?after=5", 400),
        (f"/revocations/stream?{OTHER_LOG}", 409),
    ],
)
def test_what_verifiers_need_is_open_to_all_and_so_are_its_refusals(
    start, path: str, status: int, named: str
) -> None:
    answer = start(CORS_ORIGINS=named).get(f"{ISSUER}{path}", headers={"Origin": ANYBODY})
    assert answer.status_code == status
    expect_open_to_all(answer)


@pytest.mark.parametrize("path", OPEN_TO_ALL)
def test_another_method_is_refused_so_that_everybody_can_read_it(api, path: str) -> None:
    answer = api.post(path, headers={"Origin": ANYBODY})
    assert answer.status_code == 405
    expect_open_to_all(answer)


def test_keys_that_did_not_change_are_open_to_all_too(api) -> None:
    etag = api.get(OPEN_TO_ALL[0]).headers["etag"]
    answer = api.get(OPEN_TO_ALL[0], headers={"Origin": ANYBODY, "If-None-Match": etag})
    assert answer.status_code == 304
    expect_open_to_all(answer)


@pytest.mark.parametrize("wanted", ASKED_WITH)
@pytest.mark.parametrize("path", OPEN_TO_ALL)
def test_any_page_may_ask_for_it_with_the_headers_of_a_verifier(
    api, path: str, wanted: str
) -> None:
    asked = {
        "Origin": ANYBODY,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": wanted,
    }
    answer = api.options(path, headers=asked)
    assert answer.status_code == 204
    expect_open_to_all(answer)
    assert answer.headers["access-control-allow-methods"] == "GET"
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert sorted(allowed) == sorted(ASKED_WITH)
    assert int(answer.headers["access-control-max-age"]) > 0
    assert "access-control-allow-methods" not in api.options(path).headers


@pytest.mark.parametrize("path", ["/revocation", "/.well-known", "/.well-known/jwks.json.bak"])
def test_what_only_begins_like_it_is_not_open(api, path: str) -> None:
    answer = api.get(path, headers={"Origin": ANYBODY})
    assert answer.status_code == 404
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("status", [200, 409, 429, 500, 503])
@pytest.mark.parametrize("path", OPEN_TO_ALL)
def test_whatever_is_answered_there_everybody_can_read_it(path: str, status: int) -> None:
    sent: list[Any] = []

    async def answering(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [RETRY]})

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "method": "GET", "path": path, "headers": []}
    asyncio.run(Cors(answering, ())(scope, None, send))  # type: ignore[arg-type]
    assert sent[0]["headers"][:2] == [RETRY, (b"access-control-allow-origin", b"*")]


def test_what_is_answered_outside_of_the_framework_can_be_read_too(sqlite_url: str) -> None:
    """When the service stops, and this request has kept it waiting for too long."""
    sent: list[Any] = []

    async def receive() -> Any:
        raise asyncio.CancelledError

    async def send(message: Any) -> None:
        sent.append(message)

    given = settings(sqlite_url, ISSUER=ISSUER, CORS_ORIGINS=PAGE)
    headers = [(b"origin", PAGE.encode()), (b"content-type", b"application/json")]
    scope: Any = {"type": "http", "method": "POST", "path": "/revoke", "headers": headers}
    app = application(load(given).settings)
    asyncio.run(app({**scope, "query_string": b""}, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 503
    assert dict(sent[0]["headers"])[b"access-control-allow-origin"] == PAGE.encode()
