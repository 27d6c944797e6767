"""What is left of argon2's speed with a request around it: `/authenticate` and `/register`.

One service process with its default settings, on SQLite and on PostgreSQL, against one process of
bare argon2-cffi with the same parameters, on as many threads as the service's hash pool has and at
their priority. Users are distinct and their secrets right, so no budget is spent. Bare argon2
verifies beside registrations too: that takes as long as making a hash. A run doesn't count in which
another number of events was written than was answered, a wrong secret was let in, or a login cost
the service less than a hash; nor one after which those who registered can't log in.
"""

from __future__ import annotations

import json
import math
import tempfile
from itertools import count, cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from app.settings import load
from tests.benchmarks import asking
from tests.benchmarks.answers import LOOKED_AT, demand_end, demand_refusal, look_at_tokens
from tests.benchmarks.comparison import Comparison, Size, Turn, alternate, compare
from tests.benchmarks.load import LoadError, Target
from tests.benchmarks.loading import loaded
from tests.benchmarks.processes import SERVICE, serving, settings
from tests.benchmarks.processor import Meter
from tests.benchmarks.stores import new_postgresql, new_sqlite
from tests.benchmarks.verifying import verifying

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.benchmarks.asking import User
    from tests.benchmarks.load import Generator
    from tests.benchmarks.processes import Served
    from tests.benchmarks.stores import Store
    from tests.benchmarks.verifying import Verifying

SIZE: Final = Size(turns=9, seconds=5, warm_up=2)
QUICK: Final = Size(turns=2, seconds=1, warm_up=1)
CONNECTIONS: Final = 16
USERS: Final = 64
TARGET: Final = 0.93
MOST_BY_CPU: Final = 1.1
"""Of bare argon2's processor time over the service's, which has a hash in it: a tenth for noise."""

_MORE: Final = 2
_OVER_S: Final = 1.0
"""wrk runs for whole seconds."""
WHEN_BUSY: Final = (
    "The hash threads have the lowest priority. On a machine that others keep busy they get so "
    "little of it that logins are refused with 503: run this again when it is less so."
)


class Way(NamedTuple):
    """What is asked, and the events that each answer stands for."""

    path: str
    unit: str
    registers: bool
    events: frozenset[str]


LOGIN: Final = Way(
    "/authenticate",
    "login",
    registers=False,
    events=frozenset({"user.logged_in", "refresh_token.issued"}),
)
REGISTRATION: Final = Way(
    "/register", "registration", registers=True, events=frozenset({"user.registered"})
)
WAYS: Final = (LOGIN, REGISTRATION)


class Sides(NamedTuple):
    """The service and its users, and bare argon2."""

    service: Served
    argon2: Verifying
    store: Store
    users: list[User]
    connections: int


def run(generator: Generator, *, quick: bool) -> Iterator[Comparison]:
    """Measure both on each store; quickly on SQLite alone."""
    size = QUICK if quick else SIZE
    for opened in (new_sqlite,) if quick else (new_sqlite, new_postgresql):
        for way in WAYS:
            with opened() as store:
                yield measure(generator, size, way, store)


def measure(
    generator: Generator,
    size: Size,
    way: Way,
    store: Store,
    *,
    connections: int = CONNECTIONS,
    users: int = USERS,
    more: Mapping[str, str] | None = None,
) -> Comparison:
    """Measure with settings of the service besides the defaults; raises `LoadError`."""
    given = settings(store.url, more)
    chosen = load(given).settings
    with (
        tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory,
        serving(SERVICE, given, Path(directory, "service.log")) as service,
        verifying(given) as argon2,
    ):
        known = asking.register(service.port, users)
        turns = _turns(generator, size, way, Sides(service, argon2, store, known, connections))
    found = compare(
        f"{way.path} on {store.name}",
        conditions=f"{connections} connections, {users} users, {chosen.hash_threads} hash threads "
        f"on both sides, m={chosen.hash_memory_kib} KiB t={chosen.hash_time} p=1, load from "
        f"{generator.name}",
        unit=way.unit,
        size=size,
        names=("bare argon2-cffi", "service"),
        turns=turns,
        target=TARGET,
    )
    check_cost(found)
    return found


def _turns(
    generator: Generator, size: Size, way: Way, sides: Sides
) -> tuple[list[Turn], list[Turn]]:
    fastest = 1.0
    numbers, guessed_at = count(), cycle(sides.users)
    port = sides.service.port
    bodies = tuple(user.body for user in sides.users)

    def bare(seconds: float) -> Turn:
        nonlocal fastest
        meter = Meter(sides.argon2.pid)
        verified, rate = sides.argon2.verify(seconds)
        fastest = max(fastest, rate)
        return Turn(rate, meter.used() / verified * 1e6)

    def measured(seconds: float) -> Turn:
        asked = bodies
        if way.registers:
            # Each name once, and more of them than can be hashed meanwhile.
            most = sides.connections + math.ceil(fastest * (seconds + _OVER_S) * _MORE)
            asked = tuple(_nobody_yet(each) for each in islice(numbers, most))
        target = Target(port, way.path, asked, sides.connections)
        before = asking.events_written(port, way.events)
        try:
            turn, requests = loaded(generator, target, seconds, sides.service.pid, sides.store.pid)
        except LoadError as error:
            error.add_note(WHEN_BUSY)
            raise
        # What the turn left behind must not be in the way of the next.
        asking.wait_until_hashed(port, sides.users[0])
        written = asking.events_written(port, way.events) - before
        # That one logged in.
        check_events(way, written - (0 if way.registers else len(way.events)), requests, target)
        _look(way, port, sides.users, asked)
        wrong = next(guessed_at)._replace(user_secret="a wrong secret")
        demand_refusal(Target(port, LOGIN.path, (wrong.body,), 1), "a wrong secret")
        return turn

    turns = alternate(size, bare, measured)
    demand_end(port, sides.users[0])
    return turns


def _look(way: Way, port: int, users: Sequence[User], asked: Sequence[bytes]) -> None:
    """Log in as two people; as such who were just registered, where that was asked for."""
    if not way.registers:
        people = [each.user_key for each in users[:LOOKED_AT]]
        look_at_tokens(port, LOGIN.path, asked[:LOOKED_AT], people)
        return
    new = list(asked[1 : 1 + LOOKED_AT])  # wrk never sends the first one
    people = asking.user_keys(port, new)
    secrets = [json.loads(each)["user_secret"] for each in new]
    bodies = [asking.User(*each).body for each in zip(people, secrets, strict=True)]
    look_at_tokens(port, LOGIN.path, bodies, people)


def check_events(way: Way, events: int, requests: int, target: Target) -> None:
    """Raise `LoadError` unless each answer stands for its events, and none for more.

    What is under way when the load ends is written, and counted nowhere.
    """
    each = len(way.events)
    if not each * requests <= events <= each * (requests + target.connections):
        raise LoadError(f"{events} events were written for {requests} of {way.path}")


def check_cost(found: Comparison) -> None:
    """Raise `LoadError` where what holds a hash cost less than one."""
    if found.cpu_ratio.median > MOST_BY_CPU:
        bare, here = found.bare.cpu_us.median, found.measured.cpu_us.median
        raise LoadError(f"a {found.unit} cost {here:.0f} µs and a hash {bare:.0f}: it made none")


def _nobody_yet(number: int) -> bytes:
    return asking.compact(user_id=f"nobody{number:08}", user_secret="correct horse battery 000000")
