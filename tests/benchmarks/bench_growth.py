"""What grows with the number of people: each endpoint's time, the start, the memory.

Two services of one process each, on populated stores of different size, are asked the same about
people from all over them, one request here and one there, the other way round each second time,
over one connection each. So whatever else the machine does meets both. After each request there is
a pause, as a secret's hash would make one: secrets are hashed as cheaply as can be. So what a
service does when it has answered is done before the other one is asked. The files are held in the
system's memory, as those of a service which runs. Then both are started, on SQLite with nothing
of their files in memory, and asked to refresh by as many people as they can, with their files in
memory and with nothing of them; and the larger one is loaded with many people, hashing as it comes.
An answer about somebody else, or an ended session that is let in, is an error. On SQLite, and on
PostgreSQL with fewer people, since there the logs have to be moved each time.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import msgspec

from app.store import SQLITE
from domain.policy import DAY, Policy
from domain.refresh_token import format_refresh_token
from tests.benchmarks.answers import LOOKED_AT, demand_refusal, look_at_tokens
from tests.benchmarks.asking import ask, compact, events_written
from tests.benchmarks.bench_authenticate import CONNECTIONS as LOGIN_CONNECTIONS
from tests.benchmarks.bench_authenticate import WHEN_BUSY
from tests.benchmarks.bench_refresh import old_sessions, use_each
from tests.benchmarks.endpoints import STEPS, Case, Step, Wire
from tests.benchmarks.figures import ratios, summary
from tests.benchmarks.growth import Asked, Growth, Rates, Size, summed_up
from tests.benchmarks.load import LoadError, Target
from tests.benchmarks.population import (
    ADMINISTRATOR,
    SECRET,
    Person,
    lent,
    opened,
)
from tests.benchmarks.processes import CHEAP, SERVICE, serving, settings
from tests.benchmarks.processor import cpu_seconds
from tests.benchmarks.stores import ROOMY, move
from tests.postgres import PostgresServer

if TYPE_CHECKING:
    from tests.benchmarks.load import Generator
    from tests.benchmarks.processes import Served

SMALL: Final = 1_000
LARGE: Final = (100_000, 1_000_000)
LARGE_POSTGRESQL: Final = (100_000,)
SMALL_QUICK: Final = 200
LARGE_QUICK: Final = (2_000,)
PAUSE_S: Final = 0.01
"""After an answer: less than a hash of a secret takes, and more than tidying up after a commit."""
CONNECTIONS: Final = 64
_SCATTER: Final = 0.618
_PIECE: Final = 1 << 22
_OLD: Final = """
SELECT session_id, generation FROM token_lookup_v1
WHERE user_key = ? AND ended_at IS NULL AND last_used_at > ? AND last_used_at < ? LIMIT 1"""
_RESIDENT: Final = re.compile(r"^VmRSS:\s+([0-9]+) kB$", re.MULTILINE)


SIZE: Final = Size(turns=5, asked=160, starts=5, loaded=30_000, seconds=10.0, rated=3.0)
QUICK: Final = Size(turns=2, asked=10, starts=1, loaded=500, seconds=1.0, rated=1.0)


class Side(NamedTuple):
    """A populated store; `data` is the folder of the PostgreSQL server that has it."""

    url: str
    users: int
    data: Path | None = None


class Cases:
    """People of a store, from all over it, each one once, with what is needed to ask about them."""

    def __init__(self, side: Side, administrator: str = "") -> None:
        self._side = side
        self._administrator = administrator
        self._next = 0
        step = max(1, int(side.users * _SCATTER))
        while gcd(step, side.users) > 1:
            step += 1
        self._step = step
        store = opened(side.url)
        with store.storage.snapshot() as rows:
            [(now,)] = rows.fetch("SELECT time FROM events ORDER BY position DESC LIMIT 1")
        self._store = store
        self._now = int(now or 0)

    def take(self, count: int) -> list[Case]:
        """Some who have a session that was not used for a day, nor for too long.

        Raises `LoadError` when there are no more.
        """
        store = self._store
        found: list[Case] = []
        since, until = self._now - Policy().session_idle + DAY, self._now - DAY
        with store.snapshot() as rows:
            while len(found) < count:
                if self._next == self._side.users:
                    raise LoadError(f"fewer than {count} people more have an old session")
                who = Person.of(self._next * self._step % self._side.users)
                self._next += 1
                for session_id, generation in rows.fetch(_OLD, (who.user_key, since, until)):
                    token = format_refresh_token(
                        str(session_id), int(generation or 0), store.ring.refresh
                    )
                    found.append(Case(who, token, self._administrator))
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.storage.close()


def run(generator: Generator, *, quick: bool, users: int | None = None) -> Iterator[Growth]:
    """Compare large stores with a small one; `users` of the large ones, where that is given.

    Quickly on SQLite alone.
    """
    size, small = (QUICK, SMALL_QUICK) if quick else (SIZE, SMALL)
    larges = LARGE_QUICK if quick else LARGE
    for large in larges if users is None else (users,):
        yield on_sqlite(generator, size, small, large)
    if quick:
        return
    for large in LARGE_POSTGRESQL if users is None else (users,):
        yield on_postgresql(generator, size, small, large)


def on_sqlite(generator: Generator, size: Size, small: int, large: int) -> Growth:
    """On copies of stores that are kept."""
    with lent(small) as few, lent(large) as many:
        return measure(generator, size, (Side(few, small), Side(many, large)), "SQLite")


def on_postgresql(generator: Generator, size: Size, small: int, large: int) -> Growth:
    """On databases of one server, to which the logs of kept stores are moved."""
    with PostgresServer(settings=ROOMY) as server:
        [(version,)] = server.psql("SHOW server_version")
        urls = [server.create_database() for _ in range(2)]
        sides = tuple(map(Side, urls, (small, large), (server.data,) * 2))
        for side in sides:
            move(side.users, side.url)
        return measure(generator, size, sides, f"PostgreSQL {version}")


def measure(generator: Generator, size: Size, sides: Sequence[Side], store: str) -> Growth:
    """Ask both, start both, load the large one."""
    few, many = sides
    os.sync()  # copies of gigabytes must not be on their way to the disk meanwhile
    with serving_all(sides) as servers:
        asked = ask_both(size, sides, servers)
        resident = [resident_mb(each.pid) for each in servers]
        rates = [rates_of(generator, size, sides, servers)]
    if many.url.startswith(SQLITE):
        rates.append(rates_of(generator, size, sides))
    starts = start_both(size.starts, sides)
    with serving_all([many], {}) as [server]:
        requests = load(generator, size, many, server)
        loaded_mb = resident_mb(server.pid)
    return Growth(
        store,
        (few.users, many.users),
        size,
        asked,
        (summary(starts[0]), summary(starts[1])),
        ratios(starts[1], starts[0]),
        (resident[0], resident[1]),
        requests,
        loaded_mb,
        rates,
    )


def ask_both(size: Size, sides: Sequence[Side], servers: Sequence[Served]) -> list[Asked]:
    """Ask everything of both, one request here and one there."""
    times: dict[str, tuple[list[list[float]], list[list[float]]]]
    times = {step.name: ([], []) for step in STEPS}
    cpu = {step.name: [0.0, 0.0] for step in STEPS}
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(each.port)) for each in servers]
        people = [
            stack.enter_context(Cases(each, administrator(server.port)))
            for each, server in zip(sides, servers, strict=True)
        ]
        for _ in range(size.turns):
            cases = [each.take(size.asked) for each in people]
            for side in sides:
                hold(side)
            for step in STEPS:
                written = [events_written(each.port) for each in servers]
                before = [cpu_seconds(each.pid) for each in servers]
                for place, spent in enumerate(_turn(step, wires, cases)):
                    times[step.name][place].append(spent)
                    cpu[step.name][place] += cpu_seconds(servers[place].pid) - before[place]
                for server, events in zip(servers, written, strict=True):
                    step.check(events_written(server.port) - events, size.asked)
            for server, asked in zip(servers, cases, strict=True):
                demand_ended(server, asked[-1])
    requests = size.turns * size.asked
    return [
        summed_up(name, few, many, (cpu[name][0] / requests * 1e6, cpu[name][1] / requests * 1e6))
        for name, (few, many) in times.items()
    ]


def _turn(
    step: Step, wires: Sequence[Wire], cases: Sequence[list[Case]]
) -> tuple[list[float], list[float]]:
    """Ms of each request of one kind, here and there."""
    found: tuple[list[float], list[float]] = ([], [])
    for number, pair in enumerate(zip(*cases, strict=True)):
        sides = list(zip(wires, pair, found, strict=True))
        for wire, case, spent in sides[::-1] if number % 2 else sides:
            request = step.request(case)
            began = time.perf_counter()
            answer = wire.ask(request)
            spent.append((time.perf_counter() - began) * 1000)
            time.sleep(PAUSE_S)
            step.take(case, answer)
    return found


def demand_ended(server: Served, case: Case) -> None:
    """Raise `LoadError` unless both sessions of somebody of whom all was asked are refused."""
    for token in (case.new_refresh, case.old_refresh):
        body = compact(refresh_token=token)
        demand_refusal(Target(server.port, "/refresh", (body,), 1), "a token of an ended session")
    me = Target(server.port, "/me", (), 1, bearers=(case.old_access,))
    demand_refusal(me, "a token of an ended session")


def rates_of(
    generator: Generator, size: Size, sides: Sequence[Side], servers: Sequence[Served] = ()
) -> Rates:
    """Have as many people on both refresh as fast as they are answered, in turn.

    Without servers each turn has one of its own, with nothing of its file in memory.
    """
    people = min(size.loaded, min(each.users for each in sides) // 2)
    sessions = [old_sessions(each.url, people) for each in sides]
    found: list[list[float]] = [[] for _ in sides]
    for place, server in enumerate(servers):
        hold(sides[place])
        use_each(server.port, sessions[place].bodies)
    for _ in range(size.starts):
        for place, side in enumerate(sides):
            with ExitStack() as stack:
                if servers:
                    server = servers[place]
                else:
                    forget(Path(side.url.removeprefix(SQLITE)))
                    [server] = stack.enter_context(serving_all([side]))
                whose, bodies = sessions[place]
                tally = generator.generate(
                    Target(server.port, "/refresh", bodies, CONNECTIONS), size.rated
                )
                found[place].append(tally.requests / tally.seconds)
                look_at_tokens(server.port, "/refresh", bodies[:LOOKED_AT], whose[:LOOKED_AT])
    few, many = found
    return Rates(
        cold=not servers,
        people=people,
        connections=CONNECTIONS,
        few=summary(few),
        many=summary(many),
        ratio=ratios(many, few),
    )


def start_both(starts: int, sides: Sequence[Side]) -> tuple[list[float], list[float]]:
    """Seconds from the start to the first look-up's answer, in turn."""
    found: tuple[list[float], list[float]] = ([], [])
    tokens = []
    for side in sides:
        with Cases(side) as cases:
            tokens += [case.old_refresh for case in cases.take(1)]
    for _ in range(starts):
        for side, token, spent in zip(sides, tokens, found, strict=True):
            if side.url.startswith(SQLITE):
                forget(Path(side.url.removeprefix(SQLITE)))
            began = time.perf_counter()
            with serving_all([side]) as [server]:
                ask(server.port, "/refresh", compact(refresh_token=token))
                spent.append(time.perf_counter() - began)
    return found


def hold(side: Side) -> None:
    """Have the system hold a store's files in memory: on some machines it soon lets go of them."""
    if side.data is None:
        files = [Path(side.url.removeprefix(SQLITE))]
    else:
        files = [each for each in (side.data / "base").rglob("*") if each.is_file()]
    for each in files:
        with suppress(FileNotFoundError), each.open("rb") as file:  # a vacuum may take one away
            while file.read(_PIECE):
                pass


def forget(path: Path) -> None:
    """Have the system keep nothing of a file in memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def load(generator: Generator, size: Size, side: Side, server: Served) -> int:
    """Have many refresh and log in, each another one; how many requests were answered."""
    count = _loaded(size, side)
    with Cases(side) as cases:
        old = [compact(refresh_token=case.old_refresh) for case in cases.take(count)]
    people = map(Person.of, range(0, side.users, side.users // count))
    bodies = [compact(user_key=who.user_key, user_secret=SECRET) for who in people]
    refresh = Target(server.port, "/refresh", tuple(old), CONNECTIONS)
    # Each hashes: of more at a time some would be refused, as too many wait.
    login = Target(server.port, "/authenticate", tuple(bodies), LOGIN_CONNECTIONS)
    requests = 0
    for target in (refresh, login, refresh):
        try:
            requests += generator.generate(target, size.seconds).requests
        except LoadError as error:
            if target is login:
                error.add_note(WHEN_BUSY)
            raise
    return requests


def resident_mb(pid: int) -> float:
    """How much memory a process has now, in MB."""
    found = _RESIDENT.search(Path(f"/proc/{pid}/status").read_text())
    if found is None:
        raise RuntimeError(f"process {pid} is gone")
    return int(found[1]) * 1024 / 1e6


def administrator(port: int) -> str:
    """An access token of whoever may read all events."""
    who = Person.of(ADMINISTRATOR)
    body = compact(user_key=who.user_key, user_secret=SECRET)
    tokens = msgspec.json.decode(ask(port, "/authenticate", body), type=dict[str, str])
    return tokens["access_token"]


@contextmanager
def serving_all(
    sides: Sequence[Side], hashing: Mapping[str, str] = CHEAP
) -> Iterator[list[Served]]:
    """A service on each store."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gatebook-bench-"))
        yield [
            stack.enter_context(
                serving(SERVICE, settings(side.url, hashing), Path(folder, f"{number}.log"))
            )
            for number, side in enumerate(sides)
        ]


def _loaded(size: Size, side: Side) -> int:
    """How many people are loaded: not so many that too few have an old session left."""
    return min(size.loaded, side.users // 2)
