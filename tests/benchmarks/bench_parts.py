"""Where the processor time of a `/refresh` goes: its parts, each by itself, in one process.

No server and no socket: the application is called as the server calls it, by as many callers at
once as connections are measured elsewhere, on SQLite. What contains a part is called in turn with
it, so that both meet the same machine; what is left between them is told, too. Caches are warmer
than those of a service that also reads and writes sockets: a part is what it costs at least.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from app.application import application
from app.caller import Caller
from app.http.direct import Direct
from app.identifiers import new_request_id
from app.issuing import Issuer, Session
from app.settings import load
from app.web.refusal import answer_anywhere
from domain.refresh_token import is_genuine, parse
from tests.benchmarks import empty
from tests.benchmarks.figures import Summary, summary
from tests.benchmarks.processes import CHEAP, settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.bootstrap import Service

AT_ONCE: Final = 64
ROUNDS: Final = 25
ROUNDS_QUICK: Final = 5
TIMES: Final = 4
"""That everybody calls, in a round."""
_SECRET: Final = "correct horse battery staple"
_HERE: Final = Caller("0" * 32, "127.0.0.1", None)

Call = Callable[[], Awaitable[object]]


class Part(msgspec.Struct, frozen=True):
    """What one costs, in µs of processor time; `others_us` is that of threads besides the loop's.

    `depth` says in which part above it is contained.
    """

    name: str
    depth: int
    us: Summary
    others_us: Summary


class Parts(msgspec.Struct, frozen=True):
    """A kind of request, and what it is made of; each is followed by what is in it."""

    request: str
    parts: list[Part]

    def lines(self) -> list[str]:
        """A table."""
        return [
            f"{self.request}: µs of processor time, {self.parts[0].us.n} rounds",
            f"  {'':44}{'median':>9}{'least':>9}{'of others':>11}",
            *(
                f"  {'  ' * each.depth + each.name:44}{each.us.median:9.1f}{each.us.least:9.1f}"
                f"{each.others_us.median:11.1f}"
                for each in self.parts
            ),
        ]


class _Step(NamedTuple):
    name: str
    depth: int
    call: Call


class _People(NamedTuple):
    """A service in this process, with the sessions of so many people."""

    service: Service
    app: Any
    direct: Direct
    scope: dict[str, Any]
    tokens: list[str]


def run(*, quick: bool) -> Iterator[Parts]:
    """Take apart a steady refresh, one that is recorded, and one that rotates."""
    rounds = ROUNDS_QUICK if quick else ROUNDS
    for request, given, steps in (
        ("/refresh", {}, _steady),
        ("/refresh, each use recorded", {"GATEBOOK_REFRESH_AUDIT": "every"}, _recorded),
        ("/refresh, rotating", {}, _rotating),
    ):
        with _unheard():
            found = asyncio.run(_taken_apart(request, given, steps, rounds))
        yield found


async def _taken_apart(
    request: str, given: Mapping[str, str], steps: Callable[[_People], list[_Step]], rounds: int
) -> Parts:
    with tempfile.TemporaryDirectory(prefix="gatebook-bench-") as folder:
        more = {**CHEAP, **given}
        async with _people(settings(f"sqlite:///{folder}/gatebook.db", more)) as people:
            return Parts(request, await _timed(steps(people), rounds))


async def _timed(steps: Sequence[_Step], rounds: int) -> list[Part]:
    mine: list[list[float]] = [[] for _ in steps]
    all_of_them: list[list[float]] = [[] for _ in steps]
    for number in range(-1, rounds):  # the first one warms up
        for step, own, whole in zip(steps, mine, all_of_them, strict=True):
            thread, process = time.thread_time_ns(), time.process_time_ns()
            for _ in range(TIMES):
                await asyncio.gather(*(step.call() for _ in range(AT_ONCE)))
            thread, process = time.thread_time_ns() - thread, time.process_time_ns() - process
            if number >= 0:
                own.append(thread / TIMES / AT_ONCE / 1000)
                whole.append((process - thread) / TIMES / AT_ONCE / 1000)
    return [
        Part(step.name, step.depth, summary(own), summary(others))
        for step, own, others in zip(steps, mine, all_of_them, strict=True)
    ]


def _steady(people: _People) -> list[_Step]:
    service, tokens = people.service, cycle(people.tokens)
    issuer = Issuer(service.keys, "http://127.0.0.1", "http://127.0.0.1", 3600)
    key = service.store.ring.refresh
    parsed = cycle([each for each in map(parse, people.tokens) if each is not None])
    session = Session("uk_" + "x" * 26, "user000001", "x" * 22, 0, 1 << 60, "")
    bare = empty.application(599 - len('{"access_token":""}'))
    signer = service.keys.signer(time.time_ns() // 1000)

    async def check() -> object:
        token = parse(next(tokens))
        return token is not None and is_genuine(token, key)

    async def sign() -> object:
        return signer.sign(b"x" * 400)

    return [
        _Step("an empty handler of the framework", 0, partial(_asked, bare, people.scope, tokens)),
        _Step("the service", 0, partial(_asked, people.app, people.scope, tokens)),
        _Step("the handler alone", 1, partial(_asked, people.direct, people.scope, tokens)),
        _Step(
            "the use case",
            2,
            lambda: service.refresh_tokens.refresh(next(tokens), _HERE),
        ),
        _Step("reading and checking the refresh token", 3, check),
        _Step(
            "the look-up of the session", 3, lambda: service.lookup.session(next(parsed).session_id)
        ),
        _Step(
            "the access token",
            3,
            lambda: issuer.issue(session, time.time_ns() // 1000),
        ),
        _Step("its signature", 4, sign),
    ]


def _recorded(people: _People) -> list[_Step]:
    tokens = cycle(people.tokens)
    return [
        _Step("the service", 0, partial(_asked, people.app, people.scope, tokens)),
        _Step(
            "the use case", 1, lambda: people.service.refresh_tokens.refresh(next(tokens), _HERE)
        ),
    ]


def _rotating(people: _People) -> list[_Step]:
    left = list(people.tokens)

    async def rotate() -> object:
        token = left.pop()
        found = await people.service.refresh_tokens.refresh(token, _HERE, rotate=True)
        left.append(found.refresh_token or token)
        return found

    async def whole() -> object:
        token = left.pop()
        body = await _ask(people.app, people.scope, {"refresh_token": token, "rotate": True})
        left.append(msgspec.json.decode(body)["refresh_token"])
        return body

    return [_Step("the service", 0, whole), _Step("the use case", 1, rotate)]


async def _asked(app: Any, scope: dict[str, Any], tokens: Iterator[str]) -> object:
    return await _ask(app, scope, {"refresh_token": next(tokens)})


async def _ask(app: Any, scope: dict[str, Any], members: Mapping[str, object]) -> bytes:
    """One request, as the server hands it over; raises `RuntimeError` unless it succeeds."""
    body = msgspec.json.encode(members)
    sent: list[Any] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [*scope["headers"], (b"content-length", str(len(body)).encode())]
    await app({**scope, "headers": headers}, receive, send)
    if sent[0]["status"] != 200:
        msg = f"/refresh: {sent[0]['status']} {sent[1]['body']!r}"
        raise RuntimeError(msg)
    content: bytes = sent[1]["body"]
    return content


@asynccontextmanager
async def _people(given: Mapping[str, str]) -> AsyncIterator[_People]:
    found: list[Service] = []
    app = application(load(given).settings, on_start=found.append)
    async with app.lifespan():
        (service,) = found
        tokens = []
        for number in range(AT_ONCE):
            name = f"user{number:06}"
            user_key = await service.accounts.register(name, _SECRET, _HERE)
            logged_in = await service.accounts.authenticate(user_key, _SECRET, _HERE)
            tokens.append(logged_in.refresh_token)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/refresh",
            "raw_path": b"/refresh",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
            "service": service,
            "request_id": new_request_id(),
        }
        yield _People(service, app, Direct(app, answer_anywhere), scope, tokens)


@contextmanager
def _unheard() -> Iterator[None]:
    """What the service logs, a line for each request, is written, and nobody reads it."""
    said = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(said, 2)
        os.close(said)
