"""A service that doesn't do its work is noticed by the benchmarks, however fast it is."""

from __future__ import annotations

import base64
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import pytest

from tests.benchmarks import answers, bench_authenticate, bench_mixed, client
from tests.benchmarks.asking import User, compact
from tests.benchmarks.bench_authenticate import LOGIN, REGISTRATION, WAYS, Way
from tests.benchmarks.comparison import Size, Turn, compare
from tests.benchmarks.load import LoadError, Target
from tests.benchmarks.processes import Served
from tests.benchmarks.stores import Store

PEOPLE: Final = ["uk_a", "uk_b"]
BODIES: Final = [compact(refresh_token=each) for each in PEOPLE]
TARGET: Final = Target(1, "/authenticate", (b"{}",), 16)

Pretend = Callable[[str, bytes], tuple[int, bytes]]


@contextmanager
def pretending(answer: Pretend) -> Iterator[int]:
    """A server that answers as it likes; its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # header and body leave together

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status, content = answer(self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        do_GET = do_POST  # noqa: N815 - named by the library

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def token(body: bytes, number: int) -> bytes:
    """An answer with a token of whoever asks."""
    told = json.loads(body)
    said = {"sub": told.get("refresh_token") or told.get("user_key"), "jti": f"{number}"}
    payload = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
    return compact(access_token=f"h.{payload}.s", refresh_token="r")


def test_tokens_that_are_new_each_time_pass() -> None:
    numbers = itertools.count()
    with pretending(lambda _, body: (200, token(body, next(numbers)))) as port:
        answers.look_at_tokens(port, "/refresh", BODIES, PEOPLE)


def test_an_answer_that_is_remembered_for_each_token_is_noticed() -> None:
    first: dict[bytes, bytes] = {}
    numbers = itertools.count()

    def answer(_: str, body: bytes) -> tuple[int, bytes]:
        return 200, first.setdefault(body, token(body, next(numbers)))

    with pretending(answer) as port, pytest.raises(LoadError, match="several with the same"):
        answers.look_at_tokens(port, "/refresh", BODIES, PEOPLE)


@pytest.mark.parametrize("path", ["/refresh", "/me", "/oauth/introspect"])
def test_an_answer_to_a_session_that_was_ended_is_noticed(path: str) -> None:
    ended: list[bytes] = []

    def answer(asked: str, body: bytes) -> tuple[int, bytes]:
        if asked == "/revoke":
            ended.append(body)
        refused = ended and asked not in {"/revoke", path}
        return (401, b"{}") if refused else (200, compact(access_token="a", refresh_token="r"))

    with pretending(answer) as port:
        with pytest.raises(LoadError, match=f"{path} answered 200, and not 401, to a token"):
            answers.demand_end(port, User("uk_a", "secret"))
        ended.clear()
        path = ""
        answers.demand_end(port, User("uk_a", "secret"))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.path)
def test_each_answer_to_a_login_or_a_registration_stands_for_its_events(way: Way) -> None:
    each = len(way.events)
    for events in (100 * each, 116 * each):  # so many were under way when the load ended
        bench_authenticate.check_events(way, events, 100, TARGET)
    for events in (0, 100 * each - 1, 116 * each + 1):
        with pytest.raises(LoadError, match=f"{events} events were written for 100 of {way.path}"):
            bench_authenticate.check_events(way, events, 100, TARGET)


def test_a_login_that_costs_less_than_a_hash_is_noticed() -> None:
    def found(cpu_us: float) -> None:
        bench_authenticate.check_cost(
            compare(
                "/authenticate",
                conditions="",
                unit="login",
                size=Size(3, 1, 1),
                names=("bare argon2-cffi", "service"),
                turns=([Turn(70, 26_000)] * 3, [Turn(70, cpu_us)] * 3),
                target=0.93,
            )
        )

    found(30_000)
    with pytest.raises(LoadError, match="a login cost 900 µs and a hash 26000"):
        found(900)


@pytest.mark.parametrize(
    ("way", "written", "why"),
    [
        (REGISTRATION, False, "0 events were written"),
        (REGISTRATION, True, "/userkey was answered 404"),
        (LOGIN, True, "/authenticate answered 200, and not 401, to a wrong secret"),
    ],
)
def test_a_service_that_only_says_that_it_did_is_noticed(
    way: Way, written: bool, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers, done = itertools.count(), [0]

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        if path == "/metrics":
            lines = [f'gatebook_events_total{{type="{each}"}} {done[0]}.0' for each in way.events]
            return 200, "\n".join(["gatebook_hash_queue 0.0", *lines, ""]).encode()
        if path == "/register":
            done[0] += written and way is REGISTRATION
            return 200, compact(user_key=f"uk_{next(numbers)}")
        if path == "/authenticate":
            done[0] += written and way is LOGIN
            return 200, token(body, next(numbers))
        return 404, b"{}"

    @contextmanager
    def pretended(*_: object) -> Iterator[Served]:
        with pretending(answer) as port:
            yield Served(port, 1)

    monkeypatch.setattr(bench_authenticate, "serving", pretended)
    with pytest.raises(LoadError, match=why):
        bench_authenticate.measure(
            client.GENERATOR,
            Size(2, 0.1, 0.1),
            way,
            Store("nowhere", "sqlite:////nowhere/at/all.db"),
            connections=2,
            users=4,
            more={"GATEBOOK_HASH_MEMORY_KIB": "8", "GATEBOOK_HASH_TIME": "1"},
        )


def test_logins_that_do_not_queue_are_noticed() -> None:
    bench_mixed.check_waiting(16, 10.0)
    with pytest.raises(LoadError, match="of 32 logins at a time 17 were refused in 10"):
        bench_mixed.check_waiting(17, 10.0)
    bench_mixed.check_logins(320, 300)
    with pytest.raises(LoadError, match="0 logins were written, and 300 answered"):
        bench_mixed.check_logins(0, 300)
    bench_mixed.check_rate(37.5, 75.0, bench_mixed.LEAST_HASHED)
    with pytest.raises(LoadError, match=r"0\.0 logins/s, where 75\.0 can be hashed"):
        bench_mixed.check_rate(0.0, 75.0, bench_mixed.LEAST_HASHED)
