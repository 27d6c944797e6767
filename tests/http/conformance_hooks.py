"""What schemathesis is helped with: a token, real keys and tokens, an address for each case."""

from __future__ import annotations

import itertools

import httpx
import schemathesis
from schemathesis import GenerationMode
from schemathesis.generation.meta import TestPhase

SECRET = "a quiet rope of seven"

_client = httpx.Client()
_numbers = itertools.count(1)
_users: dict[str, tuple[str, str]] = {}


def _post(url: str, body: dict[str, str]) -> dict[str, str]:
    answer = _client.post(url, json=body)
    answer.raise_for_status()
    return answer.json()


def _user(base_url: str) -> tuple[str, str]:
    """Name and key of the one user that real requests are about."""
    if base_url not in _users:
        name = "conformance"
        body = {"user_id": name, "user_secret": SECRET}
        _users[base_url] = name, _post(f"{base_url}/register", body)["user_key"]
    return _users[base_url]


def _tokens(base_url: str) -> dict[str, str]:
    _, user_key = _user(base_url)
    return _post(f"{base_url}/authenticate", {"user_key": user_key, "user_secret": SECRET})


@schemathesis.auth(refresh_interval=None)
class Bearer:
    """Every case may carry a good access token."""

    def get(self, case, ctx):
        return _tokens(case.operation.base_url)["access_token"]

    def set(self, case, data, ctx):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Send it from its own address, and make every other good body a real one."""
    number = next(_numbers)
    case.headers = case.headers or {}
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    case.headers["X-Forwarded-For"] = address
    good = case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE
    if good and number % 2 and case.meta.phase.name != TestPhase.STATEFUL:
        case.body = _real(case.operation) or case.body


def _real(operation):
    base_url = operation.base_url
    name, user_key = _user(base_url)
    match operation.path:
        case "/register":
            return {"user_id": f"conformance{next(_numbers)}", "user_secret": SECRET}
        case "/userkey":
            return {"user_id": name, "user_secret": SECRET}
        case "/authenticate":
            return {"user_key": user_key, "user_secret": SECRET}
        case "/refresh" | "/revoke":
            return {"refresh_token": _tokens(base_url)["refresh_token"]}
    return None
