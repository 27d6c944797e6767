"""What `/refresh` costs beside an empty handler: the floor is what the framework costs by itself.

One service process with its default settings, on SQLite and on PostgreSQL, against
`tests.benchmarks.empty` with bodies of the same sizes; each connection's requests go round the
tokens of as many sessions as there are connections, one a user. A steady `/refresh` writes
nothing, and a run in which one did doesn't count. Secrets are hashed as cheaply as can be, since
hashing is no part of it.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks import asking
from tests.benchmarks.comparison import Comparison, Size, Turn, alternate, compare
from tests.benchmarks.load import LoadError, Target
from tests.benchmarks.processes import EMPTY, SERVICE, serving, settings
from tests.benchmarks.processor import Meter
from tests.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.load import Generator
    from tests.benchmarks.processes import Served

SIZE: Final = Size(turns=9, seconds=4, warm_up=2)
QUICK: Final = Size(turns=4, seconds=2, warm_up=1)
CONNECTIONS: Final = 64
TARGET_SQLITE: Final = 0.45
TARGET_POSTGRESQL: Final = 0.40

_CHEAP: Final = {"GATEBOOK_HASH_MEMORY_KIB": "8", "GATEBOOK_HASH_TIME": "1"}


def run(generator: Generator, *, quick: bool) -> Iterator[Comparison]:
    """Measure on each store."""
    size = QUICK if quick else SIZE
    yield on_sqlite(generator, size)
    yield on_postgresql(generator, size)


def on_sqlite(generator: Generator, size: Size, connections: int = CONNECTIONS) -> Comparison:
    """Measure on a new SQLite database."""
    with tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory:
        url = f"sqlite:///{directory}/gatebook.db"
        name = "/refresh on SQLite"
        return _measure(generator, size, connections, name, url, None, TARGET_SQLITE)


def on_postgresql(generator: Generator, size: Size, connections: int = CONNECTIONS) -> Comparison:
    """Measure on a PostgreSQL server of its own, on this machine."""
    with PostgresServer() as server:
        [(version,)] = server.psql("SHOW server_version")
        name = f"/refresh on PostgreSQL {version}"
        url = server.create_database()
        return _measure(generator, size, connections, name, url, server.pid, TARGET_POSTGRESQL)


def _measure(
    generator: Generator,
    size: Size,
    connections: int,
    name: str,
    url: str,
    database: int | None,
    target: float,
) -> Comparison:
    given = settings(url, _CHEAP)
    with (
        tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory,
        serving(SERVICE, given, Path(directory, "service.log")) as service,
    ):
        users = asking.register(service.port, connections)
        tokens = asking.authenticate(service.port, users)
        bodies = tuple(asking.compact(refresh_token=token) for token in tokens)
        answer = asking.ask(service.port, "/refresh", bodies[0])
        token_size = len(json.loads(answer)["access_token"])
        arguments = (*EMPTY, str(token_size))
        with serving(arguments, given, Path(directory, "empty.log")) as empty:
            floor = asking.ask(empty.port, "/refresh", bodies[0])
            if len(floor) != len(answer):
                raise LoadError(f"bodies differ in size: {len(floor)} and {len(answer)} bytes")
            written: list[int] = []

            def bare(seconds: float) -> Turn:
                return _turn(generator, empty, bodies, connections, seconds, None)

            def measured(seconds: float) -> Turn:
                turn = _turn(generator, service, bodies, connections, seconds, database)
                written.append(asking.events_written(service.port))
                return turn

            turns = alternate(size, bare, measured)
    # The first use of a token from this network is recorded, in warming up; no other is.
    if written[-1] != written[0]:
        raise LoadError(f"{written[-1] - written[0]} events were written: this was not steady")
    return compare(
        name,
        conditions=f"{connections} connections, one service process, requests of {len(bodies[0])} "
        f"and answers of {len(answer)} bytes, load from {generator.name}",
        unit="request",
        size=size,
        names=("empty handler", "service"),
        turns=turns,
        target=target,
    )


def _turn(
    generator: Generator,
    server: Served,
    bodies: tuple[bytes, ...],
    connections: int,
    seconds: float,
    database: int | None,
) -> Turn:
    """Load a server; `database` is the process that all of the database's are children of."""
    own = Meter(server.pid)
    databases = None if database is None else Meter(database)
    tally = generator.generate(Target(server.port, "/refresh", bodies, connections), seconds)
    return Turn(
        tally.requests / tally.seconds,
        own.used() / tally.requests * 1e6,
        None if databases is None else databases.used() / tally.requests * 1e6,
    )
