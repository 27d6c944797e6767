"""What is asked of a service about one person, step by step, over one connection that stays open.

Of each answer that tells whom it is about it is looked whether that is who was meant: a service
that gave everybody the same one would be flat, and worth nothing. Knows the service's HTTP alone.
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Callable
from typing import Final, NamedTuple, Self
from urllib.parse import urlencode

from tests.benchmarks.answers import claims
from tests.benchmarks.asking import compact
from tests.benchmarks.client import answer_size
from tests.benchmarks.load import LoadError
from tests.benchmarks.population import SECRET, USER_AGENT, Person

_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_TIMEOUT_S: Final = 60.0


class Case:
    """A person with an old session, and what the steps have brought so far."""

    __slots__ = ("administrator", "new_refresh", "old_access", "old_refresh", "seen", "who")

    def __init__(self, who: Person, old_refresh: str, administrator: str) -> None:
        self.who = who
        self.old_refresh = old_refresh
        self.administrator = administrator
        self.old_access = ""
        self.new_refresh = ""
        self.seen: set[object] = set()
        """What was told once, and has to be another each time: tokens and their ids, a new key."""

    def demand(self, what: str, told: object, wanted: object) -> None:
        """Raise `LoadError` unless an answer tells what it has to."""
        if told != wanted:
            raise LoadError(f"{what} is {told!r} and not {wanted!r}, for {self.who.name}")

    def demand_new(self, what: str, told: object) -> None:
        """Raise `LoadError` for what was told before, or is missing."""
        if not told or told in self.seen:
            raise LoadError(f"{what} is {told!r} once more, for {self.who.name}")
        self.seen.add(told)

    def take_token(self, answer: bytes) -> dict[str, str]:
        """Look at the access token that is answered, which has to be of this person, and new."""
        found: dict[str, str] = json.loads(answer)
        told = claims(found["access_token"])
        self.demand("whom a token is for", told["sub"], self.who.user_key)
        self.demand_new("a token's id", told["jti"])
        return found


class Step(NamedTuple):
    """A request, what is kept of its answer, and whether it is written down."""

    name: str
    request: Callable[[Case], bytes]
    take: Callable[[Case, bytes], None]
    writes: bool = False

    def check(self, events: int, requests: int) -> None:
        """Raise `LoadError` unless each request was written, or none was."""
        if self.writes != (events >= requests) or (events and not self.writes):
            raise LoadError(f"{events} events were written for {requests} of {self.name}")


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


def get(path: str, token: str | None = None) -> bytes:
    """A request of somebody who has an access token, or of anybody."""
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


def _rotate(case: Case) -> bytes:
    return post("/refresh", compact(refresh_token=case.new_refresh, rotate=True))


def _form(path: str, token: str | None = None, /, **members: str) -> bytes:
    return post(path, urlencode(members).encode(), _FORM, token)


def _introspect(case: Case) -> bytes:
    return _form("/oauth/introspect", case.old_access, token=case.old_access)


def _grant_of_token(case: Case) -> bytes:
    return _form(
        "/oauth/token",
        grant_type="refresh_token",
        client_id=case.who.user_key,
        refresh_token=case.new_refresh,
    )


def _grant_of_secret(case: Case) -> bytes:
    return _form(
        "/oauth/token",
        grant_type="client_credentials",
        client_id=case.who.user_key,
        client_secret=SECRET,
    )


def _revoke(case: Case) -> bytes:
    return post("/revoke", compact(refresh_token=case.new_refresh))


def _revoke_old(case: Case) -> bytes:
    return _form("/oauth/revoke", token=case.old_refresh, client_id=case.who.user_key)


def _of_user(case: Case) -> bytes:
    return get(f"/events?user_key={case.who.user_key}", case.administrator)


def _newest(case: Case) -> bytes:
    return get("/events?order=desc", case.administrator)


def _registered(case: Case, answer: bytes) -> None:
    told = json.loads(answer)["user_key"]
    case.seen.add(case.who.user_key)
    case.demand_new("a new user's key", told)


def _key(case: Case, answer: bytes) -> None:
    case.demand("a key", json.loads(answer)["user_key"], case.who.user_key)


def _access(case: Case, answer: bytes) -> None:
    case.take_token(answer)


def _taken_new(case: Case, answer: bytes) -> None:
    case.new_refresh = case.take_token(answer)["refresh_token"]
    case.demand_new("a refresh token", case.new_refresh)


def _taken_old(case: Case, answer: bytes) -> None:
    case.old_access = case.take_token(answer)["access_token"]


def _me(case: Case, answer: bytes) -> None:
    told = json.loads(answer)
    named = told["user_key"], told["user_id"], told["session_id"]
    wanted = case.who.user_key, case.who.name, claims(case.old_access)["sid"]
    case.demand("who asks", named, wanted)


def _introspected(case: Case, answer: bytes) -> None:
    told, wanted = json.loads(answer), claims(case.old_access)
    case.demand("whose token it is", (told["active"], told["username"]), (True, case.who.name))
    for name in ("sub", "sid", "jti"):
        case.demand(f"a token's {name}", told[name], wanted[name])


def _sessions(case: Case, answer: bytes) -> None:
    (current,) = (each["session_id"] for each in json.loads(answer)["items"] if each["current"])
    case.demand("the session", current, claims(case.old_access)["sid"])


def _own(case: Case, answer: bytes) -> None:
    for each in _items(answer):
        case.demand("whom an event is of", each["user_key"], case.who.user_key)


def _items(answer: bytes) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(answer)["items"]
    if not found:
        raise LoadError("a list is empty")
    return found


def _listed(_: Case, answer: bytes) -> None:
    _items(answer)


def _keys(_: Case, answer: bytes) -> None:
    if not json.loads(answer)["keys"]:
        raise LoadError("there are no keys")


def _done(case: Case, answer: bytes) -> None:
    case.demand("what is answered to an end", answer in {b"", b"{}"}, wanted=True)


STEPS: Final = (
    Step("/register", _register, _registered, writes=True),
    Step("/userkey", _userkey, _key),
    Step("/authenticate", _authenticate, _taken_new, writes=True),
    Step("/refresh, a token's first", _refresh_new, _access, writes=True),
    Step("/refresh, steady", _refresh_new, _access),
    Step("/refresh, rotating", _rotate, _taken_new, writes=True),
    Step("/oauth/token, for a token", _grant_of_token, _taken_new, writes=True),
    Step("/oauth/token, for a secret", _grant_of_secret, _access, writes=True),
    Step("/refresh, a day's first", _refresh_old, _taken_old, writes=True),
    Step("/me", lambda case: get("/me", case.old_access), _me),
    Step("/oauth/introspect", _introspect, _introspected),
    Step("/sessions", lambda case: get("/sessions", case.old_access), _sessions),
    Step("/me/events", lambda case: get("/me/events", case.old_access), _own),
    Step("/events, newest page", _newest, _listed),
    Step("/events of a user", _of_user, _own),
    Step("/users, first page", lambda case: get("/users", case.administrator), _listed),
    Step("/.well-known/jwks.json", lambda _: get("/.well-known/jwks.json"), _keys),
    Step("/revoke", _revoke, _done, writes=True),
    Step("/oauth/revoke", _revoke_old, _done, writes=True),
    Step("/revocations", lambda _: get("/revocations"), _listed),
)
