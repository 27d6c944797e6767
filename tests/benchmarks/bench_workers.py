"""What a second service process on one PostgreSQL costs, and what it adds.

One service with one worker against one with two, each on a database of its own on the same server.
A steady `/refresh` shows what the second process costs by itself. A single user, all of whose
sessions rotate in both processes, shows what they cost each other: all events are of one stream. A
run in which one of the processes did hardly any of the work doesn't count. Secrets are hashed as
cheaply as can be, since hashing is no part of it.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.benchmarks import asking
from tests.benchmarks.answers import LOOKED_AT, demand_end, look_at_tokens
from tests.benchmarks.comparison import Comparison, Size, Turn, alternate, compare
from tests.benchmarks.load import LoadError, Target
from tests.benchmarks.loading import loaded
from tests.benchmarks.processes import CHEAP, SERVICE, serving, settings
from tests.benchmarks.processor import seconds_by_child
from tests.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.benchmarks.asking import User
    from tests.benchmarks.load import Generator
    from tests.benchmarks.processes import Served

SIZE: Final = Size(turns=9, seconds=4, warm_up=2)
QUICK: Final = Size(turns=2, seconds=1, warm_up=1)
CONNECTIONS: Final = 64
WORKERS: Final = 2
LEAST_SHARE: Final = 0.2
"""Of the processor time of all of a service's processes, for each of them."""


class Way(NamedTuple):
    """What is asked; `hot` of one user, rotating, else of a user a connection, steadily."""

    name: str
    hot: bool


WAYS: Final = (Way("/refresh", hot=False), Way("/refresh of one user, rotating", hot=True))
CPU_TARGET: Final = 1 / 1.1
"""Processor time may be 1.1 times that of one process."""
RATE_TARGET: Final = 0.9


class Side(NamedTuple):
    """A service, and its users."""

    service: Served
    users: list[User]

    def bodies(self, way: Way, connections: int) -> tuple[bytes, ...]:
        """Requests with the tokens of new sessions, one more than there are connections."""
        chosen = self.chosen(way, connections)
        more: dict[str, object] = {"rotate": True} if way.hot else {}
        tokens = asking.authenticate(self.service.port, chosen)
        return tuple(asking.compact(refresh_token=each, **more) for each in tokens)

    def chosen(self, way: Way, connections: int) -> list[User]:
        """Whose sessions they are."""
        return self.users[:1] * (connections + 1) if way.hot else self.users


def run(generator: Generator, *, quick: bool) -> Iterator[Comparison]:
    """Measure each way."""
    yield from measure(generator, QUICK if quick else SIZE)


def measure(
    generator: Generator, size: Size, connections: int = CONNECTIONS
) -> Iterator[Comparison]:
    """Measure on a PostgreSQL server of its own, on this machine."""
    with (
        PostgresServer() as server,
        _side(server, 1, connections) as one,
        _side(server, WORKERS, connections) as several,
    ):
        [(version,)] = server.psql("SHOW server_version")
        for way in WAYS:
            yield _measure(generator, size, way, connections, (one, several), server, str(version))


def _measure(
    generator: Generator,
    size: Size,
    way: Way,
    connections: int,
    sides: tuple[Side, Side],
    server: PostgresServer,
    version: str,
) -> Comparison:
    steady = {} if way.hot else {each.service.port: each.bodies(way, connections) for each in sides}
    for port, bodies in steady.items():
        for body in bodies:
            asking.ask(port, "/refresh", body)  # the first use is recorded

    def turn(side: Side, seconds: float) -> Turn:
        port = side.service.port
        bodies = steady[port] if steady else side.bodies(way, connections)
        renewed = "refresh_token" if way.hot else None
        before = asking.events_written(port)
        target = Target(port, "/refresh", bodies, connections, renewed)
        found, requests = loaded(generator, target, seconds, side.service.pid, server.pid)
        check(way, asking.events_written(port) - before, requests)
        asked, again = (
            bodies[:LOOKED_AT] if steady else side.bodies(way, LOOKED_AT)[:LOOKED_AT]
            for _ in range(2)
        )
        people = [each.user_key for each in side.chosen(way, LOOKED_AT)[:LOOKED_AT]]
        look_at_tokens(port, "/refresh", asked, people, again)
        return found

    before = seconds_by_child(sides[1].service.pid)
    turns = alternate(
        size, lambda seconds: turn(sides[0], seconds), lambda seconds: turn(sides[1], seconds)
    )
    check_shares(before, seconds_by_child(sides[1].service.pid))
    for each in sides:
        demand_end(each.service.port, each.users[0])
    return compare(
        f"Two processes: {way.name}",
        conditions=f"PostgreSQL {version}, {connections} connections, requests of "
        f"{len((steady or {0: sides[0].bodies(way, 0)}).popitem()[1][0])} bytes, load from "
        f"{generator.name}",
        unit="request",
        size=size,
        names=("one process", "two processes"),
        turns=turns,
        target=RATE_TARGET if way.hot else CPU_TARGET,
        by="rate" if way.hot else "CPU",
    )


@contextmanager
def _side(server: PostgresServer, workers: int, connections: int) -> Iterator[Side]:
    given = settings(server.create_database(), {**CHEAP, "GATEBOOK_WORKERS": f"{workers}"})
    with (
        tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory,
        serving(SERVICE, given, Path(directory, "service.log")) as service,
    ):
        yield Side(service, asking.register(service.port, connections + 1))


def check_shares(before: Mapping[int, float], after: Mapping[int, float]) -> None:
    """Raise `LoadError` unless each process worked; seconds of each, by its id.

    Which of them takes a connection is left to the system: all may land on one.
    """
    used = sorted(seconds - before.get(pid, 0.0) for pid, seconds in after.items())
    if before.keys() != after.keys() or len(used) != WORKERS:
        raise LoadError("a service process ended, or there was another number of them")
    if used[0] < LEAST_SHARE * sum(used):
        told = " and ".join(f"{each:.2f}" for each in used)
        raise LoadError(f"one process did nearly all: they used {told} s of the processor")


def check(way: Way, events: int, requests: int) -> None:
    """Raise `LoadError` unless a turn wrote what it had to."""
    if way.hot != (events >= requests) or (events and not way.hot):
        raise LoadError(f"{events} events were written for {requests} requests")
