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
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from app.application import application
from app.bootstrap import Service, composed, open_vault, policy_of
from app.dispatcher import MAX_BATCH, Commit, Dispatcher
from app.settings import load
from app.store import open_store
from app.writer import Writer
from tests.running import settings
from tests.simulation.unsure_file import Crashed, UnsureFile
from tests.simulation.virtual_time import AtOnce

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    from app.http.observe import Observed
    from app.settings import Settings
    from tests.simulation.unsure_file import Fate
    from tests.simulation.virtual_time import VirtualLoop

EPOCH: Final = 1_800_000_000.0
"""What the clocks show at the beginning, in seconds."""
SKEW_S: Final = 25.0
"""A process's clock is at most so far from the store's: two of them are within the minute that
tokens are allowed."""


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


class Clocks:
    """The store's clock, which jumps; in seconds."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._offset = 0.0
        self.jumps: list[tuple[float, float]] = []
        """When a clock was moved, in the loop's time, and by how much the store's was."""

    def now(self) -> float:
        """The loop's time, which no clock shows."""
        return self._loop.time()

    def store(self) -> float:
        """What the store's shows."""
        return EPOCH + self._loop.time() + self._offset

    def jump(self, seconds: float) -> None:
        self._offset += seconds
        self.jumps.append((self._loop.time(), seconds))

    def moved(self, since: float) -> bool:
        """Whether any clock was moved then or later."""
        return bool(self.jumps) and self.jumps[-1][0] >= since

    def forward(self, since: float) -> float:
        """How much the store's was moved forward since then."""
        return sum(by for when, by in reversed(self.jumps) if when >= since and by > 0)


class Queue(Dispatcher):
    """The dispatcher without its thread.

    `turn` is asked how long until the writer takes a batch, and how long from its commit to its
    answers; `crashed` hears that the process is gone.
    """

    def __init__(
        self,
        commit: Commit,
        turn: Callable[[], tuple[float, float]],
        crashed: Callable[[], None],
    ) -> None:
        super().__init__(commit)
        self._turn = turn
        self._crashed = crashed
        self._busy_until = 0.0
        self._late = 0.0

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    def _hand_over(self) -> None:
        super()._hand_over()
        assert self._loop is not None
        before, late = self._turn()
        at = max(self._loop.time(), self._busy_until) + before
        self._busy_until = at + late
        self._loop.call_at(at, self._take, late)

    def _take(self, late: float) -> None:
        taken: list[Any] = []
        while not self._queue.empty() and len(taken) < MAX_BATCH:
            taken += self._queue.get_nowait()
        self._late = late
        try:
            for first in range(0, len(taken), MAX_BATCH):
                self._serve(taken[first : first + MAX_BATCH])
        except Crashed:
            self._crashed()

    def _deliver(self, served: int, done: list[Any]) -> None:
        assert self._loop is not None
        self._loop.call_later(self._late, super()._deliver, served, done)


class Process:
    """A process that runs, or is down. `rng` says what befalls it."""

    def __init__(
        self,
        loop: VirtualLoop,
        clocks: Clocks,
        path: Path,
        given: Settings,
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
        self._fate = fate
        self._turn = turn
        self._committed = committed
        self._crashed = crashed
        self._started = started
        self._waiting: set[asyncio.Future[None]] = set()

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
            policy_of(self._given),
            sleep=self._loop.pass_by,
            monotonic=self._loop.time,
        )
        life = self.lives
        self.service = composed(
            self._given,
            store,
            writer,
            AsyncExitStack(),
            queue=lambda commit: Queue(
                commit, lambda: self._turn(self), lambda: self._crash_of(life)
            ),
            clock=self.clock,
        )
        self.service.pool._executor = AtOnce()  # type: ignore[assignment]
        self.service.dispatcher.start()
        self._entrance = copy.copy(_entrance())
        self._entrance.service = self.service
        self._started(self.service)
        self.up = True

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
        gone = self._loop.create_future()
        self._waiting.add(gone)
        answering = self._loop.create_task(
            _exchange(self._entrance, method, path, body, headers, source)
        )
        try:
            await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise Cut
            return answering.result()
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
