"""What schemathesis is helped with: who asks, real keys, tokens and places, an address a case.

Most cases carry an administrator's access token, some an ordinary user's, some none; each is of
a session of its own, so that a case that ends sessions harms no other. Nobody changes the secret
of whoever has to log in for the next case, and who erases itself is somebody new.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
from typing import NamedTuple

import httpx
import schemathesis
from schemathesis import GenerationMode
from schemathesis.generation.meta import TestPhase

SECRET = "a quiet rope of seven"
ADMINISTRATOR = "GATEBOOK_TEST_ADMINISTRATOR"
"""The variable that names the administrator's user_key."""

_client = httpx.Client()
# One each: a common one would go on by the same steps, and some operation never have its turn.
_bearers, _cases, _rotations, _names = (itertools.count(1) for _ in range(4))
_users: dict[str, User] = {}
_good: set[str] = set()
"""`Authorization` of those who may; any other is schemathesis's own, and has to be refused."""


class User(NamedTuple):
    """Somebody whose secret is `SECRET`."""

    name: str
    user_key: str


def _post(url: str, body: dict[str, str]) -> dict[str, str]:
    answer = _client.post(url, json=body)
    answer.raise_for_status()
    return answer.json()


def _name() -> str:
    """A new one, in every run on a store."""
    return f"conformance{next(_names)}-{os.environ[ADMINISTRATOR]}"


def _new_user(base_url: str) -> User:
    name = _name()
    body = {"user_id": name, "user_secret": SECRET}
    return User(name, _post(f"{base_url}/register", body)["user_key"])


def _user(base_url: str) -> User:
    """The one user that real requests are about: one who may get in."""
    known = _users.get(base_url)
    if known is not None:
        body = {"user_id": known.name, "user_secret": SECRET}
        if _client.post(f"{base_url}/userkey", json=body).status_code == httpx.codes.OK:
            return known
    _users[base_url] = _new_user(base_url)
    return _users[base_url]


def _tokens(base_url: str, user_key: str) -> dict[str, str]:
    return _post(f"{base_url}/authenticate", {"user_key": user_key, "user_secret": SECRET})


def _session_id(access_token: str) -> str:
    claims = access_token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sid"]


@schemathesis.auth(refresh_interval=None)
class Bearer:
    """Whose access token a case carries."""

    def get(self, case, ctx):
        base_url, number = case.operation.base_url, next(_bearers)
        if number % 11 == 0:
            return None
        user_key = _user(base_url).user_key if number % 5 == 0 else os.environ[ADMINISTRATOR]
        return _tokens(base_url, user_key)["access_token"]

    def set(self, case, data, ctx):
        case.headers = case.headers or {}
        if data is not None:
            case.headers["Authorization"] = f"Bearer {data}"
            _good.add(case.headers["Authorization"])


@schemathesis.hook
def before_call(context, case, kwargs):
    """Send it from its own address, and make every other good one about what there is."""
    number = next(_cases)
    case.headers = case.headers or {}
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    case.headers["X-Forwarded-For"] = address
    good = case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE
    if good and number % 2 and case.meta.phase.name != TestPhase.STATEFUL:
        case.body = _body(case.operation) or case.body
        case.path_parameters = {**(case.path_parameters or {}), **_path(case.operation)}
        if case.operation.path == "/users/{user_key}":
            case.query = {}  # a time or a position that comes by chance is mostly none
        if number % 3 == 0:
            case.query = {**(case.query or {}), **_place(case.operation)}
    _spare_the_administrator(case)
    if case.operation.path.startswith("/oauth/"):
        # A client says who it is in the form.
        case.headers.pop("Authorization", None)


def _spare_the_administrator(case) -> None:
    match case.operation.path, case.body:
        case "/me/secret", {"user_secret": str(), "new_user_secret": str()}:
            case.body["new_user_secret"] = SECRET
        case "/me/erase", {"user_secret": str(secret)} if (
            secret == SECRET and case.headers.get("Authorization") in _good
        ):
            new = _new_user(case.operation.base_url).user_key
            token = _tokens(case.operation.base_url, new)["access_token"]
            case.headers["Authorization"] = f"Bearer {token}"
        case "/users/{user_key}/secret", _:
            if case.path_parameters.get("user_key") == os.environ[ADMINISTRATOR]:
                case.path_parameters["user_key"] = _user(case.operation.base_url).user_key


def _body(operation):
    """A body that is good in the state that the service is in."""
    base_url = operation.base_url
    match operation.path:
        case "/register" | "/users":
            return {"user_id": _name(), "user_secret": SECRET}
        case "/userkey":
            return {"user_id": _user(base_url).name, "user_secret": SECRET}
        case "/authenticate":
            return {"user_key": _user(base_url).user_key, "user_secret": SECRET}
        case "/refresh" | "/revoke":
            tokens = _tokens(base_url, _user(base_url).user_key)
            rotate = {"rotate": True} if next(_rotations) % 3 == 0 else {}
            return {
                "refresh_token": tokens["refresh_token"],
                **(rotate if operation.path == "/refresh" else {}),
            }
        case "/oauth/token":
            return {"grant_type": "client_credentials", **_client_of(base_url)}
        case "/oauth/introspect" | "/oauth/revoke":
            tokens = _tokens(base_url, _user(base_url).user_key)
            return {"token": tokens["access_token"], **_client_of(base_url)}
        case "/me/secret":
            return {"user_secret": SECRET, "new_user_secret": SECRET}
        case "/users/{user_key}/permissions":
            return {"permissions": ["orders:read", "users:read"]}
        case "/me/erase" | "/users/{user_key}/secret":
            return {"user_secret": SECRET}
    return None


def _client_of(base_url: str) -> dict[str, str]:
    return {"client_id": _user(base_url).user_key, "client_secret": SECRET}


def _path(operation) -> dict[str, str]:
    """Whom or which session it is about."""
    base_url = operation.base_url
    if "{user_key}" in operation.path:
        return {"user_key": _user(base_url).user_key}
    if "{name}" in operation.path:
        return {"name": "revocations"}
    if "{session_id}" in operation.path:
        tokens = _tokens(base_url, os.environ[ADMINISTRATOR])
        return {"session_id": _session_id(tokens["access_token"])}
    return {}


def _place(operation) -> dict[str, str]:
    """A place in the list that it gives a part of, or in the log."""
    if operation.method.upper() != "GET":
        return {}
    match operation.path:
        case "/users":
            return {"after": "3"}
        case "/sessions" | "/users/{user_key}/sessions":
            return {"after": f"0-{'0' * 22}"}
        case "/events" | "/me/events" | "/revocations":
            log_id = _client.get(f"{operation.base_url}/version").json()["log_id"]
            order = {"order": "asc"} if operation.path != "/revocations" else {}
            return {"after": f"{log_id}:3", **order}
        case "/users/{user_key}":
            head = _client.get(f"{operation.base_url}/revocations").json()["head"]
            return {"position": f"{head}"}
    return {}
