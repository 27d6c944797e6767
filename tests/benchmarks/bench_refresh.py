"""What `/refresh` costs beside an empty handler: the floor is what the framework costs by itself.

Four ways of it: steady, which writes nothing; with each use recorded, which writes an event;
rotating, which writes one too; and steady with so many sessions that what the process remembers of
one is forgotten when its turn comes again. One service process, on SQLite and on
PostgreSQL, against `tests.benchmarks.empty` with bodies of the same sizes. Requests go round the
tokens of as many sessions as there are connections, one a user, but the fourth way's round those of
a store that is kept. A run in which another number of events was written doesn't count. Secrets are
hashed as cheaply as can be, since hashing is no part of it.
"""

from __future__ import annotations

import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from domain.policy import DAY, SECOND, Policy
from domain.refresh_token import format_refresh_token
from tests.benchmarks import asking
from tests.benchmarks.answers import LOOKED_AT, demand_end, look_at_tokens
from tests.benchmarks.comparison import Comparison, Size, Turn, alternate, compare
from tests.benchmarks.load import LoadError, Target
from tests.benchmarks.loading import loaded
from tests.benchmarks.population import lent, opened
from tests.benchmarks.processes import CHEAP, EMPTY, SERVICE, serving, settings
from tests.benchmarks.stores import Store, new_postgresql, new_sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.benchmarks.asking import User
    from tests.benchmarks.load import Generator
    from tests.benchmarks.processes import CHEAP, Served

SIZE: Final = Size(turns=9, seconds=4, warm_up=2)
QUICK: Final = Size(turns=2, seconds=1, warm_up=1)
CONNECTIONS: Final = 64
_AT_ONCE: Final = 32


class Way(NamedTuple):
    """A way of refreshing; `targets` are of what is bare, on SQLite and on PostgreSQL.

    `sessions` is how many of a kept store are asked about; 0 stands for new ones.
    """

    name: str
    given: Mapping[str, str]
    rotates: bool
    writes: bool
    targets: tuple[float, float]
    sessions: int = 0


WAYS: Final = (
    Way("/refresh", {}, rotates=False, writes=False, targets=(0.60, 0.50)),
    Way(
        "/refresh, each use recorded,",
        {"GATEBOOK_REFRESH_AUDIT": "every"},
        rotates=False,
        writes=True,
        targets=(0.45, 0.38),
    ),
    Way("/refresh, rotating,", {}, rotates=True, writes=True, targets=(0.40, 0.35)),
)
MANY: Final = 20_000
"""Sessions: twice and more of what a process remembers (`app.opening`, `domain.refresh_token`).
The targets are the same: they don't ask that anything is remembered."""
MANY_WAY: Final = Way(
    f"/refresh of {MANY:,} sessions",
    {},
    rotates=False,
    writes=False,
    targets=WAYS[0].targets,
    sessions=MANY,
)
_LIVE: Final = """
SELECT user_key, session_id, generation FROM token_lookup_v1
WHERE ended_at IS NULL AND last_used_at > ? ORDER BY session_id LIMIT ?"""
"""In an order that has nothing to do with who they are, nor with when they came."""


class Sessions(NamedTuple):
    """Live sessions of a kept store: whose, and the requests with their tokens."""

    people: tuple[str, ...]
    bodies: tuple[bytes, ...]


class Sides(NamedTuple):
    """Both servers, and what is asked of them."""

    bare: Served
    service: Served
    users: list[User]
    way: Way
    connections: int
    old: Sessions | None = None

    def bodies(self, count: int | None = None) -> tuple[bytes, ...]:
        """Requests, each with the token of another session, of new ones; for so many users."""
        more: dict[str, object] = {"rotate": True} if self.way.rotates else {}
        tokens = asking.authenticate(self.service.port, self.users[:count])
        return tuple(asking.compact(refresh_token=each, **more) for each in tokens)

    def look(self, bodies: tuple[bytes, ...]) -> None:
        """Look at answers to two people; a token that was rotated is no longer what to ask with."""
        asked, again = (
            self.bodies(LOOKED_AT) if self.way.rotates else bodies[:LOOKED_AT] for _ in range(2)
        )
        people = [each.user_key for each in self.users] if self.old is None else self.old.people
        look_at_tokens(self.service.port, "/refresh", asked, people[:LOOKED_AT], again)


def run(generator: Generator, *, quick: bool) -> Iterator[Comparison]:
    """Measure each way on each store; quickly on SQLite alone."""
    size = QUICK if quick else SIZE
    for way in WAYS:
        yield on_sqlite(generator, size, way)
        if not quick:
            yield on_postgresql(generator, size, way)
    if not quick:
        yield on_kept(generator, size, MANY_WAY)
        yield on_moved(generator, size, MANY_WAY)


def on_sqlite(
    generator: Generator, size: Size, way: Way, connections: int = CONNECTIONS
) -> Comparison:
    """Measure on a new SQLite database."""
    with new_sqlite() as store:
        return _measure(generator, size, way, connections, store)


def on_postgresql(
    generator: Generator, size: Size, way: Way, connections: int = CONNECTIONS
) -> Comparison:
    """Measure on a PostgreSQL server of its own, on this machine."""
    with new_postgresql() as store:
        return _measure(generator, size, way, connections, store)


def on_kept(
    generator: Generator, size: Size, way: Way, connections: int = CONNECTIONS
) -> Comparison:
    """Measure on a copy of a kept SQLite store with as many people as sessions are asked about."""
    with lent(way.sessions) as url:
        sessions = old_sessions(url, way.sessions)
        return _measure(generator, size, way, connections, Store("SQLite", url), sessions)


def on_moved(
    generator: Generator, size: Size, way: Way, connections: int = CONNECTIONS
) -> Comparison:
    """Measure on a PostgreSQL database to which the log of that store was moved."""
    with new_postgresql(way.sessions) as store:
        sessions = old_sessions(store.url, way.sessions)
        return _measure(generator, size, way, connections, store, sessions)


def old_sessions(url: str, count: int) -> Sessions:
    """Live sessions of a store, so many; raises `LoadError` when there are fewer."""
    store = opened(url)
    since = int(time.time() * SECOND) + DAY - Policy().session_idle
    with store.snapshot() as rows:
        found = rows.fetch(_LIVE, (since, count))
    tokens = [
        format_refresh_token(str(session_id), int(generation or 0), store.ring.refresh)
        for _, session_id, generation in found
    ]
    store.storage.close()
    if len(found) < count:
        raise LoadError(f"fewer than {count} sessions live")
    people = tuple(str(user_key) for user_key, _, _ in found)
    return Sessions(people, tuple(asking.compact(refresh_token=each) for each in tokens))


def use_each(port: int, bodies: Sequence[bytes]) -> None:
    """Refresh each once, many at a time.

    A day's first use is recorded, as is one by another program than before: both are no part of
    what is measured, and so is this asked without a User-Agent, as the load is.
    """
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(lambda body: asking.ask(port, "/refresh", body), bodies))


def _measure(
    generator: Generator,
    size: Size,
    way: Way,
    connections: int,
    store: Store,
    old: Sessions | None = None,
) -> Comparison:
    with _sides(way, connections, store) as given:
        sides = given._replace(old=old)
        bodies = sides.bodies() if old is None else old.bodies
        sizes = _same_sizes(sides, sides.bodies()[0])
        use_each(sides.service.port, () if way.rotates else bodies)
        written: list[tuple[int, int]] = []
        place = 0

        def bare(seconds: float) -> Turn:
            return _turn(generator, sides, sides.bare, bodies, seconds, None)[0]

        def measured(seconds: float) -> Turn:
            nonlocal place
            asked = sides.bodies() if way.rotates else bodies[place:] + bodies[:place]
            before = asking.events_written(sides.service.port)
            turn, requests = _turn(generator, sides, sides.service, asked, seconds, store.pid)
            written.append((asking.events_written(sides.service.port) - before, requests))
            sides.look(bodies)
            # The next turn begins with those that were not asked about for longest.
            place = (place + requests) % len(bodies)
            return turn

        turns = alternate(size, bare, measured)
        demand_end(sides.service.port, sides.users[0])
    # Warming up writes nothing either, where each token was used before.
    check(way, written[1:] if way.writes else written)
    return compare(
        f"{way.name} on {store.name}",
        conditions=f"{connections} connections, one service process, requests of {sizes[0]} and "
        f"answers of {sizes[1]} bytes, load from {generator.name}",
        unit="request",
        size=size,
        names=("empty handler", "service"),
        turns=turns,
        target=way.targets[0 if store.pid is None else 1],
    )


@contextmanager
def _sides(way: Way, connections: int, store: Store) -> Iterator[Sides]:
    given = settings(store.url, {**CHEAP, **way.given})
    with (
        tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory,
        serving(SERVICE, given, Path(directory, "service.log")) as service,
    ):
        users = asking.register(service.port, connections + 1)
        sides = Sides(service, service, users, way, connections)
        answer = json.loads(asking.ask(service.port, "/refresh", sides.bodies()[0]))
        sizes = [str(len(token)) for token in answer.values()]
        with serving((*EMPTY, *sizes), given, Path(directory, "empty.log")) as bare:
            yield sides._replace(bare=bare)


def _same_sizes(sides: Sides, body: bytes) -> tuple[int, int]:
    """Of a request and of an answer, in bytes; raises `LoadError` when they differ."""
    answers = [asking.ask(each.port, "/refresh", body) for each in (sides.service, sides.bare)]
    service, bare = map(len, answers)
    if service != bare:
        raise LoadError(f"bodies differ in size: {bare} and {service} bytes")
    return len(body), bare


def _turn(
    generator: Generator,
    sides: Sides,
    server: Served,
    bodies: tuple[bytes, ...],
    seconds: float,
    database: int | None,
) -> tuple[Turn, int]:
    """Load a server; what it was, and how many requests."""
    renewed = "refresh_token" if sides.way.rotates else None
    target = Target(server.port, "/refresh", bodies, sides.connections, renewed=renewed)
    return loaded(generator, target, seconds, server.pid, database)


def check(way: Way, written: list[tuple[int, int]]) -> None:
    """Raise `LoadError` unless each turn wrote what it had to.

    The first use of a token is recorded, too, before or with its rotation; what is under way when
    the load ends is written, and counted nowhere.
    """
    for events, requests in written:
        if way.writes != (events >= requests) or (events and not way.writes):
            raise LoadError(f"{events} events were written for {requests} requests")
