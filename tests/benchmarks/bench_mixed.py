"""Whether one kind of work keeps another waiting: `/refresh` beside logins that queue for a hash.

One service process with its default settings, on each store. Alone, then beside people who log in
as fast as they are answered, `/refresh` is asked at a fixed rate, and `/healthz` now and then. Then
logins come faster than they can be hashed, and those that are refused have to hear it at once. A
run in which logins didn't queue doesn't count: those who log in have to wait all the time but for
a few who are refused, as a busy machine does, and there have to be half as many logins as bare
argon2-cffi hashes on as many threads, or more.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import uvloop

from app.settings import load
from tests.benchmarks import asking
from tests.benchmarks.answers import LOOKED_AT, demand_end, demand_refusal, look_at_tokens
from tests.benchmarks.bench_authenticate import WHEN_BUSY
from tests.benchmarks.figures import ratios, summary
from tests.benchmarks.load import LoadError, Target
from tests.benchmarks.mixed import Mixed, Times
from tests.benchmarks.paced import Taken, paced
from tests.benchmarks.processes import SERVICE, serving, settings
from tests.benchmarks.verifying import verifying
from tests.postgres import PostgresServer
from tests.prove.client import Client, Cut

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Mapping

    from tests.benchmarks.verifying import Verifying
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
"""Of both kinds."""
LEAST_WAITING: Final = 0.95
"""Of all that time of all who log in, for their answer and not after a refusal."""
LEAST_HASHED: Final = 0.5
"""Logins beside refreshes, of what bare argon2 hashes on as many threads with nothing beside it:
what asks and answers takes some of the cores (0.8 on SQLite and 0.6 on PostgreSQL, on two)."""
LEAST_LET_IN: Final = 0.25
"""The same of those that are let in where there are too many, whose refusing takes a share, too."""

_OK: Final = 200
_REFUSED: Final = 503
_QUEUE_S: Final = 0.5
"""Until logins queue."""
_PAUSE_S: Final = 1.0
"""What a login that was refused waits."""
_BARE_S: Final = 1.0
_LOGGED_IN: Final = frozenset({"user.logged_in"})

_T = TypeVar("_T")


class Length(NamedTuple):
    """Turns alone, beside logins, and of too many logins; seconds of each of both kinds."""

    turns: int
    seconds: float
    overload_s: float


LENGTH: Final = Length(turns=5, seconds=10, overload_s=4)
QUICK: Final = Length(turns=2, seconds=1.5, overload_s=2.5)


class People:
    """Who asks: some with sessions that they refresh, and others who log in.

    A user has only so many sessions, of which the oldest end: those of whoever only refreshes last.
    """

    def __init__(self, port: int, users: int) -> None:
        self._port = port
        everybody = asking.register(port, 2 * users)
        self.users, self.others = everybody[:users], everybody[users:]
        tokens = asking.authenticate(port, self.users)
        self._bodies = [asking.compact(refresh_token=each) for each in tokens]
        self._refreshes = deque(self._bodies)
        self._logins = deque(user.body for user in self.others)

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

    async def keep_logging_in(self, done: list[float], refused: list[float]) -> None:
        """Log in again and again until cancelled; when each was done, or refused, is noted."""
        now = asyncio.get_running_loop().time
        async with Client(self._port) as client:
            while True:
                answer = await self.log_in(client)
                if answer.status == _OK:
                    done.append(now())
                else:
                    refused.append(now())
                    await asyncio.sleep(_PAUSE_S)

    def look_at(self) -> None:
        """Look at answers to two of them; raises `LoadError`."""
        people = [each.user_key for each in self.users[:LOOKED_AT]]
        look_at_tokens(self._port, "/refresh", self._bodies[:LOOKED_AT], people)
        wrong = self.users[0]._replace(user_secret="a wrong secret")
        demand_refusal(Target(self._port, "/authenticate", (wrong.body,), 1), "a wrong secret")
        demand_end(self._port, self.users[0])


class Turn(NamedTuple):
    """What was taken beside logins.

    `logins` are a second's, `refused` those that were not let in meanwhile, `done` all that were.
    """

    refreshes: list[Taken]
    looks: list[Taken]
    logins: float
    refused: int
    done: int


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
    given = settings(url, more)
    threads = load(given).settings.hash_threads
    with (
        tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory,
        serving(SERVICE, given, Path(directory, "service.log")) as service,
        verifying(given) as argon2,
    ):
        people = People(service.port, users)
        return _measure(store, service.port, people, length, threads, argon2)


def _measure(
    store: str,
    port: int,
    people: People,
    length: Length,
    threads: int,
    argon2: Verifying,
) -> Mixed:
    alone, beside, hashed, overload = [], [], [], []
    _run(paced(port, people.refresh, REFRESHES, length.seconds))  # the first use is recorded
    for _ in range(length.turns):
        hashed.append(argon2.verify(_BARE_S)[1])
        alone.append(_run(paced(port, people.refresh, REFRESHES, length.seconds)))
        before = asking.events_written(port, _LOGGED_IN)
        try:
            beside.append(_run(_beside_logins(port, people, length.seconds)))
        except LoadError as error:
            error.add_note(WHEN_BUSY)
            raise
        check_logins(asking.events_written(port, _LOGGED_IN) - before, beside[-1].done)
        asking.wait_until_hashed(port, people.others[0])
    logins, bare = summary([each.logins for each in beside]), summary(hashed)
    check_rate(logins.median, bare.median, LEAST_HASHED)
    rate = logins.most * TOO_MANY
    for _ in range(length.turns):
        overload.append(_run(paced(port, people.log_in, rate, length.overload_s)))
        asking.wait_until_hashed(port, people.others[0])
    refused = [[each for each in turn if each.status == _REFUSED] for turn in overload]
    if not all(refused):
        raise LoadError(f"of {len(overload[0])} logins at {rate:.0f} a second none was refused")
    all_refused, asked = sum(map(len, refused)), sum(map(len, overload))
    let_in = (asked - all_refused) / (length.overload_s * length.turns)
    check_rate(let_in, bare.median, LEAST_LET_IN)
    people.look_at()
    times = [Times.of([each.refreshes for each in beside]), Times.of(alone)]
    return Mixed(
        store,
        f"one service process, {threads} hash threads, /refresh at {REFRESHES}/s and /healthz at "
        f"{LOOKS}/s, alone and beside {LOGINS} connections that log in; then {rate:.0f} logins/s, "
        f"{TOO_MANY} times as many as are hashed, for {length.overload_s:g} s in a turn. Load from "
        "a client in Python",
        alone=times[1],
        beside=times[0],
        ratio=ratios(times[0].p99.values, times[1].p99.values),
        health=Times.of([each.looks for each in beside]),
        logins=logins,
        overload=asked,
        refused=all_refused,
        refusal=Times.of(refused),
        hashed=bare,
        beside_refused=sum(each.refused for each in beside),
    )


def check_waiting(refused: int, seconds: float) -> None:
    """Raise `LoadError` unless nearly all who log in wait all the time."""
    if refused * _PAUSE_S > (1 - LEAST_WAITING) * LOGINS * seconds:
        raise LoadError(f"of {LOGINS} logins at a time {refused} were refused in {seconds:.1f} s")


def check_logins(events: int, done: int) -> None:
    """Raise `LoadError` unless every login that was answered was written."""
    if events < done:
        raise LoadError(f"{events} logins were written, and {done} answered")


def check_rate(logins: float, hashed: float, least: float) -> None:
    """Raise `LoadError` unless logins are as many as hashing lets through, about."""
    if logins < least * hashed:
        raise LoadError(f"there were {logins:.1f} logins/s, where {hashed:.1f} can be hashed")


async def _beside_logins(port: int, people: People, seconds: float) -> Turn:
    done: list[float] = []
    refused: list[float] = []
    busy = [asyncio.create_task(people.keep_logging_in(done, refused)) for _ in range(LOGINS)]
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
    gone = sum(each >= began - _PAUSE_S for each in refused)
    check_waiting(gone, elapsed)
    logins = sum(each >= began for each in done) / elapsed
    return Turn(refreshes, looks, logins, gone, len(done))


def _demand(answer: Answer, wanted: set[int]) -> Answer:
    if answer.status not in wanted:
        raise LoadError(f"an answer was {answer.status}: {answer.body!r}")
    return answer


def _run(work: Coroutine[object, object, _T]) -> _T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
