"""What is asked of a service about one person, step by step, over one connection that stays open.

Knows the service's HTTP alone.
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Callable
from typing import Final, NamedTuple, Self
from urllib.parse import urlencode

from tests.benchmarks.asking import compact
from tests.benchmarks.client import answer_size
from tests.benchmarks.load import LoadError
from tests.benchmarks.population import SECRET, USER_AGENT, Person

_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_TIMEOUT_S: Final = 60.0


class Case:
    """A person with an old session, and what the steps have brought so far."""

    __slots__ = ("administrator", "new_refresh", "old_access", "old_refresh", "who")

    def __init__(self, who: Person, old_refresh: str, administrator: str) -> None:
        self.who = who
        self.old_refresh = old_refresh
        self.administrator = administrator
        self.old_access = ""
        self.new_refresh = ""


class Step(NamedTuple):
    """A request, and what is kept of its answer."""

    name: str
    request: Callable[[Case], bytes]
    take: Callable[[Case, bytes], None]


class Wire:
    """A connection that sends a request when the answer before is whole."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, request: bytes) -> bytes:
        """The body of the answer; raises `LoadError` for any answer but 2xx."""
        self._socket.sendall(request)
        received = self._socket.recv(65_536)
        while (size := answer_size(received)) is None or len(received) < size:
            more = self._socket.recv(65_536)
            if not more:
                raise LoadError(f"the connection was closed after {received!r}")
            received += more
        if not received.startswith(b"HTTP/1.1 2"):
            raise LoadError(f"{request!r} was answered {received!r}")
        return received.partition(b"\r\n\r\n")[2]


def get(path: str, token: str) -> bytes:
    """A request of somebody who has an access token."""
    return _head("GET", path, token)


def post(path: str, body: bytes, kind: str = _JSON, token: str | None = None) -> bytes:
    """A request with a body."""
    more = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return _head("POST", path, token, more) + body


def _head(method: str, path: str, token: str | None, more: str = "") -> bytes:
    bearer = "" if token is None else f"Authorization: Bearer {token}\r\n"
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: {USER_AGENT}\r\n"
        f"{bearer}{more}\r\n"
    ).encode()


def _register(_: Case) -> bytes:
    name = f"new{secrets.token_hex(8)}@example.org"
    return post("/register", compact(user_id=name, user_secret=SECRET))


def _userkey(case: Case) -> bytes:
    return post("/userkey", compact(user_id=case.who.name, user_secret=SECRET))


def _authenticate(case: Case) -> bytes:
    return post("/authenticate", compact(user_key=case.who.user_key, user_secret=SECRET))


def _refresh_new(case: Case) -> bytes:
    return post("/refresh", compact(refresh_token=case.new_refresh))


def _refresh_old(case: Case) -> bytes:
    return post("/refresh", compact(refresh_token=case.old_refresh))


def _introspect(case: Case) -> bytes:
    form = urlencode({"token": case.old_access}).encode()
    return post("/oauth/introspect", form, _FORM, case.old_access)


def _revoke(case: Case) -> bytes:
    return post("/revoke", compact(refresh_token=case.new_refresh))


def _of_user(case: Case) -> bytes:
    return get(f"/events?user_key={case.who.user_key}", case.administrator)


def _newest(case: Case) -> bytes:
    return get("/events?order=desc", case.administrator)


def _taken_new(case: Case, answer: bytes) -> None:
    case.new_refresh = json.loads(answer)["refresh_token"]


def _taken_old(case: Case, answer: bytes) -> None:
    case.old_access = json.loads(answer)["access_token"]


def _seen(_: Case, answer: bytes) -> None:
    if not answer:
        raise LoadError("an answer has no body")


def _listed(_: Case, answer: bytes) -> None:
    if not json.loads(answer)["items"]:
        raise LoadError("a list is empty")


STEPS: Final = (
    Step("/register", _register, _seen),
    Step("/userkey", _userkey, _seen),
    Step("/authenticate", _authenticate, _taken_new),
    Step("/refresh, a token's first", _refresh_new, _seen),
    Step("/refresh, steady", _refresh_new, _seen),
    Step("/refresh, a day's first", _refresh_old, _taken_old),
    Step("/me", lambda case: get("/me", case.old_access), _seen),
    Step("/oauth/introspect", _introspect, _seen),
    Step("/sessions", lambda case: get("/sessions", case.old_access), _listed),
    Step("/me/events", lambda case: get("/me/events", case.old_access), _listed),
    Step("/events, newest page", _newest, _listed),
    Step("/events of a user", _of_user, _listed),
    Step("/users, first page", lambda case: get("/users", case.administrator), _listed),
    Step("/revoke", _revoke, _seen),
)
