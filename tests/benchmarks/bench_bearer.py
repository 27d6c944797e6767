"""What the holder of an access token costs beside an empty handler: `GET /me` and introspection.

One service process, on SQLite and on PostgreSQL, against `tests.benchmarks.empty`, whose answers
have as many bytes. Requests go round the access tokens of as many users as there are connections;
then, on SQLite, round so many of each that one is forgotten when its turn comes again, and its
signature is verified anew. An introspection has the token of who asks beside the one that it asks
about, so that two are verified. Secrets are hashed as cheaply as can be, since hashing is no part
of it.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlencode

from tests.benchmarks import asking
from tests.benchmarks.answers import LOOKED_AT, demand_end, look_at_bearers
from tests.benchmarks.comparison import Comparison, Size, Turn, alternate, compare
from tests.benchmarks.load import LoadError, Target
from tests.benchmarks.loading import loaded
from tests.benchmarks.processes import CHEAP, EMPTY, SERVICE, serving, settings
from tests.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.asking import User
    from tests.benchmarks.load import Generator
    from tests.benchmarks.processes import Served

SIZE: Final = Size(turns=9, seconds=4, warm_up=2)
QUICK: Final = Size(turns=2, seconds=1, warm_up=1)
CONNECTIONS: Final = 64


class Way(NamedTuple):
    """What is asked; `target` is of what is bare."""

    name: str
    path: str
    asks_about_others: bool
    target: float | None


WAYS: Final = (
    Way("GET /me", "/me", asks_about_others=False, target=0.50),
    Way("/oauth/introspect", "/oauth/introspect", asks_about_others=True, target=0.36),
)
MANY: Final = 128
"""Tokens of each user: with as many users as connections twice what a process remembers
(`app.tokens.verified`). The targets are the same: they don't ask that anything is remembered."""
MANY_WAYS: Final = tuple(way._replace(name=f"{way.name}, tokens forgotten,") for way in WAYS)


class Sides(NamedTuple):
    """Both servers, the service's database, and users with tokens of a session of each."""

    bare: Served
    service: Served
    store: str
    database: int | None
    users: tuple[User, ...]
    refresh_tokens: tuple[str, ...]
    tokens: tuple[str, ...]

    def with_tokens(self, each: int) -> Sides:
        """The same with so many access tokens of each user, round by round."""
        bodies = [asking.compact(refresh_token=token) for token in self.refresh_tokens * each]
        return self._replace(tokens=tuple(asking.refresh(self.service.port, bodies)))

    def target(self, way: Way, server: Served, connections: int) -> Target:
        """What a server is asked."""
        asked = [urlencode({"token": each}).encode() for each in self.tokens]
        bodies = tuple(asked) if way.asks_about_others else ()
        return Target(
            server.port, way.path, bodies, connections, bearers=self.tokens, form=bool(bodies)
        )

    def look(self, way: Way) -> None:
        """Look at what two of the users are answered."""
        targets = [
            self._replace(tokens=(token,)).target(way, self.service, 1)
            for token in self.tokens[:LOOKED_AT]
        ]
        look_at_bearers(targets, [each.user_key for each in self.users[:LOOKED_AT]])


def run(generator: Generator, *, quick: bool) -> Iterator[Comparison]:
    """Measure each way on each store; quickly on SQLite alone."""
    size = QUICK if quick else SIZE
    yield from on_sqlite(generator, size)
    if not quick:
        yield from on_postgresql(generator, size)
        yield from of_forgotten(generator, size)


def on_sqlite(
    generator: Generator, size: Size, connections: int = CONNECTIONS
) -> Iterator[Comparison]:
    """Measure on a new SQLite database."""
    with (
        tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory,
        _sides("SQLite", f"sqlite:///{directory}/gatebook.db", None, connections) as sides,
    ):
        for way in WAYS:
            yield _measure(generator, size, way, connections, sides)


def of_forgotten(
    generator: Generator, size: Size, connections: int = CONNECTIONS
) -> Iterator[Comparison]:
    """Measure with many tokens of each user, on a new SQLite database."""
    with (
        tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory,
        _sides("SQLite", f"sqlite:///{directory}/gatebook.db", None, connections) as sides,
    ):
        many = sides.with_tokens(MANY)
        for way in MANY_WAYS:
            yield _measure(generator, size, way, connections, many)


def on_postgresql(
    generator: Generator, size: Size, connections: int = CONNECTIONS
) -> Iterator[Comparison]:
    """Measure on a PostgreSQL server of its own, on this machine."""
    with PostgresServer() as server:
        [(version,)] = server.psql("SHOW server_version")
        url = server.create_database()
        with _sides(f"PostgreSQL {version}", url, server.pid, connections) as sides:
            for way in WAYS:
                yield _measure(generator, size, way, connections, sides)


def _measure(
    generator: Generator, size: Size, way: Way, connections: int, sides: Sides
) -> Comparison:
    answered = _same_size(sides, way)

    def turn(server: Served, seconds: float, database: int | None) -> Turn:
        target = sides.target(way, server, connections)
        found = loaded(generator, target, seconds, server.pid, database)[0]
        if server == sides.service:
            sides.look(way)
        return found

    turns = alternate(
        size,
        lambda seconds: turn(sides.bare, seconds, None),
        lambda seconds: turn(sides.service, seconds, sides.database),
    )
    demand_end(sides.service.port, sides.users[0])
    return compare(
        f"{way.name} on {sides.store}",
        conditions=f"{connections} connections, one service process, answers of {answered} bytes, "
        f"{len(sides.tokens)} access tokens, load from {generator.name}",
        unit="request",
        size=size,
        names=("empty handler", "service"),
        turns=turns,
        target=way.target,
    )


@contextmanager
def _sides(store: str, url: str, database: int | None, connections: int) -> Iterator[Sides]:
    given = settings(url, CHEAP)
    with (
        tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory,
        serving(SERVICE, given, Path(directory, "service.log")) as service,
        serving((*EMPTY, "1"), given, Path(directory, "empty.log")) as bare,
    ):
        users = asking.register(service.port, connections + 1)
        refresh_tokens = tuple(asking.authenticate(service.port, users))
        sides = Sides(bare, service, store, database, tuple(users), refresh_tokens, ())
        yield sides.with_tokens(1)


def _same_size(sides: Sides, way: Way) -> int:
    """Of an answer, in bytes; raises `LoadError` when they differ."""
    service, bare = (
        len(asking.ask_with(sides.target(way, server, 1))) for server in (sides.service, sides.bare)
    )
    if service != bare:
        raise LoadError(f"answers differ in size: {bare} and {service} bytes")
    return service
