"""What a benchmark asks of the service before and after it measures: users, tokens, counters.

Plain requests, one connection each, none of them timed. Knows the service's HTTP alone.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.benchmarks.load import LoadError, Target

if TYPE_CHECKING:
    from collections.abc import Container

_TIMEOUT_S: Final = 60.0
_LOOK_S: Final = 0.05
_AT_ONCE: Final = 4
_NOTHING_QUEUED: Final = re.compile(r"^gatebook_hash_queue 0\.0$", re.MULTILINE)
_EVENTS: Final = re.compile(
    r'^gatebook_events_total\{[^}]*type="([^"]*)"[^}]*\} ([0-9.e+]+)$', re.MULTILINE
)


class User(NamedTuple):
    """A registered user's credentials."""

    user_key: str
    user_secret: str

    @property
    def body(self) -> bytes:
        """What `/authenticate` is sent."""
        return compact(user_key=self.user_key, user_secret=self.user_secret)


def compact(**members: object) -> bytes:
    """A JSON object without a space too many."""
    return json.dumps(members, separators=(",", ":")).encode()


def ask(port: int, path: str, body: bytes | None = None) -> bytes:
    """POST a body, or GET; raises `LoadError` for any answer but 2xx."""
    headers = {} if body is None else {"Content-Type": "application/json"}
    return _answered(port, path, body, headers)


def ask_with(target: Target) -> bytes:
    """What the first request of a load is answered; raises `LoadError` for any answer but 2xx."""
    body, headers = _first(target)
    return _answered(target.port, target.path, body, headers)


def status_of(target: Target) -> int:
    """How the first request of a load is answered."""
    body, headers = _first(target)
    return _exchanged(target.port, target.path, body, headers)[0]


def _first(target: Target) -> tuple[bytes | None, dict[str, str]]:
    headers = {"Content-Type": target.media_type} if target.bodies else {}
    if target.bearers:
        headers["Authorization"] = f"Bearer {target.bearers[0]}"
    return target.bodies[0] if target.bodies else None, headers


def _answered(port: int, path: str, body: bytes | None, headers: dict[str, str]) -> bytes:
    status, content = _exchanged(port, path, body, headers)
    if status // 100 != 2:
        raise LoadError(f"{path} was answered {status}: {content!r}")
    return content


def _exchanged(
    port: int, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def register(port: int, count: int) -> list[User]:
    """Make users, with names and secrets of one length, so that their tokens have one too."""

    def one(number: int) -> User:
        secret = f"correct horse battery {number:06}"
        body = compact(user_id=f"user{number:06}", user_secret=secret)
        return User(json.loads(ask(port, "/register", body))["user_key"], secret)

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(one, range(count)))


def authenticate(port: int, users: list[User]) -> list[str]:
    """Start a session of each; the refresh tokens."""
    return _told(port, "/authenticate", [user.body for user in users], "refresh_token")


def user_keys(port: int, bodies: list[bytes]) -> list[str]:
    """Whose name and secret each body of a registration has."""
    return _told(port, "/userkey", bodies, "user_key")


def refresh(port: int, bodies: list[bytes]) -> list[str]:
    """Refresh each; the access tokens."""
    return _told(port, "/refresh", bodies, "access_token")


def _told(port: int, path: str, bodies: list[bytes], member: str) -> list[str]:
    def one(body: bytes) -> str:
        token: str = json.loads(ask(port, path, body))[member]
        return token

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(one, bodies))


def wait_until_hashed(port: int, user: User) -> None:
    """Return when none of the logins that came before is left; raises `LoadError`."""
    until = time.monotonic() + _TIMEOUT_S
    while not _NOTHING_QUEUED.search(ask(port, "/metrics").decode()):
        if time.monotonic() > until:
            raise LoadError("the service still hashes")
        time.sleep(_LOOK_S)
    # First come, first served: this one is answered after those that have begun.
    authenticate(port, [user])


def events_written(port: int, kinds: Container[str] | None = None) -> int:
    """How many events the process has written since it started; of some kinds, or of all."""
    return count_events(ask(port, "/metrics").decode(), kinds)


def count_events(metrics: str, kinds: Container[str] | None = None) -> int:
    """Add up the service's counters of events, in Prometheus' text format."""
    return sum(
        int(float(number))
        for kind, number in _EVENTS.findall(metrics)
        if kinds is None or kind in kinds
    )
