"""One process of the service, as the simulation runs several: started, asked over HTTP, crashed.

It is put together by the product's own composition root, over a file that it shares with the
others. Only what a thread does elsewhere is done on the loop: the writer's turn comes when the
simulation says, and its answers as late. Knows no client.
"""

from __future__ import annotations

import asyncio
import copy
from contextlib import AsyncExitStack, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from app.application import application
from app.bootstrap import Service, composed, open_vault
from app.settings import load
from app.store import open_store
from app.writer import Writer
from tests.running import settings
from tests.simulation.dispatching import Queue
from tests.simulation.unsure_file import Crashed, UnsureFile
from tests.simulation.virtual_time import AtOnce

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    from app.http.observe import Observed
    from app.settings import Settings
    from domain.policy import Policy
    from tests.simulation.clocks import Clocks
    from tests.simulation.unsure_file import Fate
    from tests.simulation.virtual_time import VirtualLoop


class Cut(Exception):
    """There is no answer: the process is down, or went while it was asked."""


class Answer(NamedTuple):
    """What a process sent."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def reason(self) -> str:
        """Of a refusal; the empty text when none is told."""
        return str(self.json.get("reason", "")) if self.status == 401 else ""

    @property
    def code(self) -> str:
        """Of a refusal."""
        return str(self.json["code"]) if self.status >= 400 else ""


class Process:
    """A process that runs, or is down. `rng` says what befalls it."""

    def __init__(
        self,
        loop: VirtualLoop,
        clocks: Clocks,
        path: Path,
        given: Settings,
        policy: Policy,
        rng: random.Random,
        fate: Callable[[Process], Fate],
        turn: Callable[[Process], tuple[float, float]],
        committed: Callable[[], None],
        crashed: Callable[[Process], None],
        started: Callable[[Service], None],
    ) -> None:
        self.rng = rng
        self.skew = 0.0
        self.service: Service
        self.lives = 0
        self.up = False
        self._loop = loop
        self._clocks = clocks
        self._path = path
        self._given = given
        self._policy = policy
        self._fate = fate
        self._turn = turn
        self._committed = committed
        self._crashed = crashed
        self._started = started
        self._waiting: set[asyncio.Future[None]] = set()

    def _at_work(self, life: int) -> Callable[[], float]:
        """How long the loop was at work: in one life never, in the next always."""
        return self._loop.time if life % 2 else lambda: 0.0

    def clock(self) -> int:
        """The process's own, in µs."""
        return int((self._clocks.store() + self.skew) * 1_000_000)

    def start(self) -> None:
        """Open the store as it is, and begin with nothing in memory."""
        self.up = False
        self.file = UnsureFile(
            self._path,
            clock=self._clocks.store,
            fate=lambda: self._fate(self) if self.up else "kept",
            committed=self._committed,
        )
        store = open_store(self.file, open_vault(self._given), "ES256")
        writer = Writer(
            store.log,
            store.vault,
            store.ring,
            self._policy,
            sleep=self._loop.pass_by,
            monotonic=self._loop.time,
        )
        life = self.lives
        self.service = composed(
            self._given,
            store,
            writer,
            AsyncExitStack(),
            queue=lambda commit, _: Queue(
                commit, lambda: self._turn(self), lambda: self._crash_of(life), self._at_work(life)
            ),
            clock=self.clock,
        )
        self.service.pool._executor = AtOnce()  # type: ignore[assignment]
        self.service.following._thread = AtOnce()  # type: ignore[assignment]
        self.service.reading._thread = AtOnce()  # type: ignore[assignment]
        self.service.erasing._thread = AtOnce()  # type: ignore[assignment]
        # Budgets are refilled by the time that passes here.
        self.service.proving._sources._keeper._clock = self._loop.time  # type: ignore[attr-defined]
        self.service.dispatcher.start()
        self._entrance = copy.copy(_entrance())
        self._entrance.service = self.service
        self._started(self.service)
        self.up = True

    def follow(self, head: int) -> None:
        """Bring the following views up, as far as the store lets it."""
        try:
            self.service.following.news(head)
        except Crashed:
            self.crash()

    def crash(self) -> None:
        """Be gone at once, with all that was in memory; whoever waits gets no answer."""
        self.up = False
        self.lives += 1
        for each in self._waiting:
            if not each.done():
                each.set_exception(Cut())
        self.file.close()
        self._crashed(self)

    def _crash_of(self, life: int) -> None:
        if life == self.lives:
            self.crash()

    async def ask(
        self, method: str, path: str, body: bytes, headers: list[tuple[bytes, bytes]], source: str
    ) -> Answer:
        """One request, from its arrival to its answer; raises `Cut`."""
        if not self.up:
            raise Cut
        gone, life = self._loop.create_future(), self.lives
        self._waiting.add(gone)
        answering = self._loop.create_task(
            _exchange(self._entrance, method, path, body, headers, source)
        )
        try:
            await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise Cut
            return answering.result()
        except Crashed:
            # By what a handler writes itself, as the end of an erasure.
            self._crash_of(life)
            raise Cut from None
        finally:
            self._waiting.discard(gone)
            if gone.done():
                gone.exception()
            if not answering.done():
                answering.cancel()
                with suppress(asyncio.CancelledError):
                    await answering


async def _exchange(
    entrance: Observed,
    method: str,
    path: str,
    body: bytes,
    headers: list[tuple[bytes, bytes]],
    source: str,
) -> Answer:
    app = _application()
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": (source, 1),
        "server": ("127.0.0.1", 8000),
        "app": app,
        "litestar_app": app,
        "state": {},
    }
    status = 0
    parts: list[bytes] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            parts.append(message.get("body", b""))

    await entrance(scope, receive, send)  # type: ignore[arg-type]
    return Answer(status, b"".join(parts))


def settings_of(more: tuple[tuple[str, str], ...]) -> Settings:
    """The settings of a service of the simulation."""
    return load(settings("sqlite:///unused", **dict(more))).settings


def prepare() -> None:
    """Make what all processes share, which takes a while and says how things are logged."""
    _entrance()


@lru_cache(maxsize=1)
def _application() -> Any:
    """One for all processes: handlers find their service in the request."""
    return application(settings_of(()))


@lru_cache(maxsize=1)
def _entrance() -> Observed:
    """What observes requests, around handlers that find their service in the request."""
    found: Observed = _application().asgi_handler._app
    found._log = lambda *_: None  # type: ignore[assignment]
    found._count = lambda *_: None
    return found
