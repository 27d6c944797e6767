"""Whether one kind of work keeps another waiting: `/refresh` beside logins that queue for a hash.

One service process with its default settings, on each store. Alone, then beside people who log in
as fast as they are answered, `/refresh` is asked at a fixed rate, and `/healthz` now and then. Then
logins come faster than they can be hashed, and those that are refused have to hear it at once.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec
import uvloop

from app.settings import load
from tests.benchmarks import asking
from tests.benchmarks.figures import SAID, Summary, Verdict, ratios, summary, verdict
from tests.benchmarks.load import LoadError
from tests.benchmarks.paced import Taken, paced, percentile
from tests.benchmarks.processes import SERVICE, serving, settings
from tests.postgres import PostgresServer
from tests.prove.client import Client, Cut

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Mapping, Sequence

    from tests.benchmarks.asking import User
    from tests.prove.client import Answer

REFRESHES: Final = 200
"""A second."""
LOOKS: Final = 20
"""At `/healthz`, a second."""
LOGINS: Final = 32
"""Connections, each of which logs in again when it is answered."""
TOO_MANY: Final = 4
"""How many times as many logins as can be hashed come where there are too many."""
USERS: Final = 64
RATIO: Final = 3.0
"""At most, of the p99 of `/refresh` alone."""
AT_ONCE_MS: Final = 50.0
"""At most, for `/healthz` and for a refusal."""

_OK: Final = 200
_REFUSED: Final = 503
_QUEUE_S: Final = 0.5
"""Until logins queue."""
_PAUSE_S: Final = 1.0
"""What a login that was refused waits; a busy machine refuses some."""


_T = TypeVar("_T")


class Length(NamedTuple):
    """Turns alone and beside logins, seconds of each, and seconds of too many logins."""

    turns: int
    seconds: float
    overload_s: float


LENGTH: Final = Length(turns=5, seconds=10, overload_s=10)
QUICK: Final = Length(turns=2, seconds=1.5, overload_s=2.5)


class Times(msgspec.Struct, frozen=True):
    """Milliseconds from the planned moment to the answer, by turn."""

    p50: Summary
    p99: Summary
    most: float

    @classmethod
    def of(cls, turns: Sequence[Sequence[Taken]]) -> Times:
        """Sum up turns of at least one answer each."""
        ms = [[each.ms for each in turn] for turn in turns]
        return cls(
            summary([percentile(each, 0.50) for each in ms]),
            summary([percentile(each, 0.99) for each in ms]),
            max(map(max, ms)),
        )


class Row(NamedTuple):
    """A figure, and what its median may be at most."""

    name: str
    figure: Summary
    most: float

    @property
    def verdict(self) -> Verdict:
        """Whether it is no more."""
        return verdict(self.figure, self.most)


class Mixed(msgspec.Struct, frozen=True):
    """What became of the requests; `ratio` is of the p99 of `/refresh`, beside to alone.

    `logins` is a second's. `refused` are those of `overload` logins that were answered 503.
    """

    store: str
    conditions: str
    alone: Times
    beside: Times
    ratio: Summary
    health: Times
    logins: Summary
    overload: int
    refused: int
    refusal: Times

    @property
    def rows(self) -> list[Row]:
        """What has a target."""
        return [
            Row(f"/refresh beside logins on {self.store}, p99 to alone", self.ratio, RATIO),
            Row(f"/healthz beside logins on {self.store}, p99 in ms", self.health.p99, AT_ONCE_MS),
            Row(f"503 to too many logins on {self.store}, p99 in ms", self.refusal.p99, AT_ONCE_MS),
        ]

    def lines(self) -> list[str]:
        """A table for people."""
        times = {
            "/refresh alone": self.alone,
            "/refresh beside logins": self.beside,
            "/healthz beside logins": self.health,
            "503 to too many logins": self.refusal,
        }
        told = (
            f"  {self.alone.p99.n} turns; {self.logins.median:.1f} logins/s; "
            f"{self.refused} of {self.overload} refused where there were too many"
        )
        return [
            f"Mixed load on {self.store}",
            f"  {self.conditions}",
            told,
            f"  {'ms':56}" + "".join(f"{each:>11}" for each in ("p50", "p99", "worst")),
            *(
                f"  {name:56}{each.p50.median:11.1f}{each.p99.median:11.1f}{each.most:11.1f}"
                for name, each in times.items()
            ),
            *(
                f"  {row.name:56}{row.figure.median:11.2f}   at most {row.most:g}: "
                f"{SAID[row.verdict]}"
                for row in self.rows
            ),
        ]


class People:
    """Who asks: users with their bodies for `/authenticate`, and refresh tokens of theirs."""

    def __init__(self, port: int, users: list[User], tokens: list[str]) -> None:
        self._port = port
        self._logins = deque(user.body for user in users)
        self._refreshes = deque(asking.compact(refresh_token=each) for each in tokens)

    async def refresh(self, client: Client) -> Answer:
        """Refresh a session, of another user each time; raises `LoadError`."""
        self._refreshes.rotate()
        return _demand(await client.send("POST", "/refresh", self._refreshes[0]), {_OK})

    async def look(self, client: Client) -> Answer:
        """Ask whether the service is there."""
        return _demand(await client.get("/healthz"), {_OK})

    async def log_in(self, client: Client) -> Answer:
        """Log in as another user each time; it may be refused."""
        self._logins.rotate()
        answer = await client.send("POST", "/authenticate", self._logins[0])
        return _demand(answer, {_OK, _REFUSED})

    async def keep_logging_in(self, done: list[float]) -> None:
        """Log in again and again until cancelled; when each was done is noted."""
        async with Client(self._port) as client:
            while True:
                answer = await self.log_in(client)
                if answer.status == _OK:
                    done.append(asyncio.get_running_loop().time())
                else:
                    await asyncio.sleep(_PAUSE_S)


class Turn(NamedTuple):
    """What was taken beside logins."""

    refreshes: list[Taken]
    looks: list[Taken]
    logins: float


def run(*, quick: bool) -> Iterator[Mixed]:
    """Measure on each store; quickly on SQLite alone."""
    with tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory:
        yield measure("SQLite", f"sqlite:///{directory}/gatebook.db", QUICK if quick else LENGTH)
    if not quick:
        with PostgresServer() as server:
            name = f"PostgreSQL {server.psql('SHOW server_version')[0][0]}"
            yield measure(name, server.create_database(), LENGTH)


def measure(
    store: str,
    url: str,
    length: Length,
    more: Mapping[str, str] | None = None,
    *,
    users: int = USERS,
) -> Mixed:
    """Measure with settings of the service besides the defaults."""
    with tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory:
        given = settings(url, more)
        with serving(SERVICE, given, Path(directory, "service.log")) as service:
            known = asking.register(service.port, users)
            people = People(service.port, known, asking.authenticate(service.port, known))
            threads = load(given).settings.hash_threads
            return _measure(store, service.port, known[0], people, length, threads)


def _measure(
    store: str, port: int, user: User, people: People, length: Length, threads: int
) -> Mixed:
    alone, beside = [], []
    _run(paced(port, people.refresh, REFRESHES, length.seconds))  # the first use is recorded
    for _ in range(length.turns):
        alone.append(_run(paced(port, people.refresh, REFRESHES, length.seconds)))
        beside.append(_run(_beside_logins(port, people, length.seconds)))
        asking.wait_until_hashed(port, user)
    logins = summary([each.logins for each in beside])
    rate = max(logins.most, 1.0) * TOO_MANY
    overload = _run(paced(port, people.log_in, rate, length.overload_s))
    asking.wait_until_hashed(port, user)
    refused = [each for each in overload if each.status == _REFUSED]
    if not refused:
        raise LoadError(f"{len(overload)} logins at {rate:.0f} a second were not too many")
    times = [Times.of([each.refreshes for each in beside]), Times.of(alone)]
    return Mixed(
        store,
        f"one service process, {threads} hash threads, /refresh at {REFRESHES}/s and /healthz at "
        f"{LOOKS}/s, alone and beside {LOGINS} connections that log in; then {rate:.0f} logins/s, "
        f"{TOO_MANY} times as many as are hashed. Load from a client in Python",
        alone=times[1],
        beside=times[0],
        ratio=ratios(times[0].p99.values, times[1].p99.values),
        health=Times.of([each.looks for each in beside]),
        logins=logins,
        overload=len(overload),
        refused=len(refused),
        refusal=Times.of([refused]),
    )


async def _beside_logins(port: int, people: People, seconds: float) -> Turn:
    done: list[float] = []
    busy = [asyncio.create_task(people.keep_logging_in(done)) for _ in range(LOGINS)]
    try:
        await asyncio.sleep(_QUEUE_S)
        began = asyncio.get_running_loop().time()
        refreshes, looks = await asyncio.gather(
            paced(port, people.refresh, REFRESHES, seconds),
            paced(port, people.look, LOOKS, seconds),
        )
        elapsed = asyncio.get_running_loop().time() - began
        for each in busy:
            if each.done():
                each.result()  # which says why it could not go on
    finally:
        for each in busy:
            each.cancel()
        with suppress(asyncio.CancelledError, Cut):
            await asyncio.gather(*busy, return_exceptions=True)
    return Turn(refreshes, looks, sum(each >= began for each in done) / elapsed)


def _demand(answer: Answer, wanted: set[int]) -> Answer:
    if answer.status not in wanted:
        raise LoadError(f"an answer was {answer.status}: {answer.body!r}")
    return answer


def _run(work: Coroutine[object, object, _T]) -> _T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
