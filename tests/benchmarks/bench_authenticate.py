"""What is left of argon2's speed with a request around it: `/authenticate` and `/register`.

One service process with its default settings, on SQLite, against one process of bare argon2-cffi
with the same parameters, on as many threads as the service's hash pool has and at their priority.
Users are distinct and their secrets right, so no budget is spent. Bare argon2 verifies beside
registrations too: that takes as long as making a hash.
"""

from __future__ import annotations

import math
import tempfile
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from app.settings import load
from tests.benchmarks import asking
from tests.benchmarks.answers import LOOKED_AT, look_at_tokens
from tests.benchmarks.comparison import Comparison, Size, Turn, alternate, compare
from tests.benchmarks.load import LoadError, Target
from tests.benchmarks.processes import SERVICE, serving, settings
from tests.benchmarks.processor import Meter
from tests.benchmarks.verifying import verifying

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.benchmarks.load import Generator

SIZE: Final = Size(turns=9, seconds=5, warm_up=2)
QUICK: Final = Size(turns=2, seconds=1, warm_up=1)
CONNECTIONS: Final = 16
USERS: Final = 64
TARGET: Final = 0.93

_MORE: Final = 2
_OVER_S: Final = 1.0
"""wrk runs for whole seconds."""
WHEN_BUSY: Final = (
    "The hash threads have the lowest priority. On a machine that others keep busy they get so "
    "little of it that logins are refused with 503: run this again when it is less so."
)


class Way(NamedTuple):
    """What is asked."""

    path: str
    unit: str
    registers: bool


LOGIN: Final = Way("/authenticate", "login", registers=False)
REGISTRATION: Final = Way("/register", "registration", registers=True)
WAYS: Final = (LOGIN, REGISTRATION)


def run(generator: Generator, *, quick: bool) -> Iterator[Comparison]:
    """Measure both."""
    for way in WAYS:
        yield measure(generator, QUICK if quick else SIZE, way)


def measure(
    generator: Generator,
    size: Size,
    way: Way,
    *,
    connections: int = CONNECTIONS,
    users: int = USERS,
    more: Mapping[str, str] | None = None,
) -> Comparison:
    """Measure with settings of the service besides the defaults."""
    with tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory:
        given = settings(f"sqlite:///{directory}/gatebook.db", more)
        chosen = load(given).settings
        with (
            serving(SERVICE, given, Path(directory, "service.log")) as service,
            verifying(given) as argon2,
        ):
            known = asking.register(service.port, users)
            bodies = tuple(user.body for user in known)
            fastest = 1.0
            numbers = count()

            def bare(seconds: float) -> Turn:
                nonlocal fastest
                meter = Meter(argon2.pid)
                verified, rate = argon2.verify(seconds)
                fastest = max(fastest, rate)
                return Turn(rate, meter.used() / verified * 1e6)

            def measured(seconds: float) -> Turn:
                asked = bodies
                if way.registers:
                    # Each name once, and more of them than can be hashed meanwhile.
                    most = connections + math.ceil(fastest * (seconds + _OVER_S) * _MORE)
                    asked = tuple(_nobody_yet(each) for each in islice(numbers, most))
                target = Target(service.port, way.path, asked, connections)
                meter = Meter(service.pid)
                try:
                    tally = generator.generate(target, seconds)
                except LoadError as error:
                    error.add_note(WHEN_BUSY)
                    raise
                used = meter.used()
                # What the turn left behind must not be in the way of the next.
                asking.wait_until_hashed(service.port, known[0])
                if not way.registers:
                    people = [each.user_key for each in known[:LOOKED_AT]]
                    look_at_tokens(service.port, way.path, bodies[:LOOKED_AT], people)
                return Turn(tally.requests / tally.seconds, used / tally.requests * 1e6)

            turns = alternate(size, bare, measured)
    return compare(
        f"{way.path} on SQLite",
        conditions=f"{connections} connections, {users} users, {chosen.hash_threads} hash threads "
        f"on both sides, m={chosen.hash_memory_kib} KiB t={chosen.hash_time} p=1, load from "
        f"{generator.name}",
        unit=way.unit,
        size=size,
        names=("bare argon2-cffi", "service"),
        turns=turns,
        target=TARGET,
    )


def _nobody_yet(number: int) -> bytes:
    return asking.compact(user_id=f"nobody{number:08}", user_secret="correct horse battery 000000")
