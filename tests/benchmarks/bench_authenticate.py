"""What is left of argon2's speed when a login is around it: `/authenticate` against bare argon2.

One service process with its default settings, on SQLite, against one process of bare argon2-cffi
with the same parameters, on as many threads as the service's hash pool has and at their priority.
Users are distinct and their secrets right, so no budget is spent.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.settings import load
from tests.benchmarks import asking
from tests.benchmarks.comparison import Comparison, Size, Turn, alternate, compare
from tests.benchmarks.load import LoadError, Target
from tests.benchmarks.processes import SERVICE, serving, settings
from tests.benchmarks.processor import Meter
from tests.benchmarks.verifying import verifying

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.benchmarks.load import Generator

SIZE: Final = Size(turns=9, seconds=5, warm_up=2)
QUICK: Final = Size(turns=4, seconds=3, warm_up=1)
CONNECTIONS: Final = 16
USERS: Final = 64
TARGET: Final = 0.90

_WHEN_BUSY: Final = (
    "The hash threads have the lowest priority. On a machine that others keep busy they get so "
    "little of it that logins are refused with 503: run this again when it is less so."
)


def run(generator: Generator, *, quick: bool) -> Iterator[Comparison]:
    """Measure."""
    yield measure(generator, QUICK if quick else SIZE)


def measure(
    generator: Generator,
    size: Size,
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
            target = Target(service.port, "/authenticate", bodies, connections)

            def bare(seconds: float) -> Turn:
                meter = Meter(argon2.pid)
                count, rate = argon2.verify(seconds)
                return Turn(rate, meter.used() / count * 1e6)

            def measured(seconds: float) -> Turn:
                meter = Meter(service.pid)
                try:
                    tally = generator.generate(target, seconds)
                except LoadError as error:
                    error.add_note(_WHEN_BUSY)
                    raise
                used = meter.used()
                # What the turn left behind must not be in the way of the next.
                asking.wait_until_hashed(service.port, known[0])
                return Turn(tally.requests / tally.seconds, used / tally.requests * 1e6)

            turns = alternate(size, bare, measured)
    return compare(
        "/authenticate on SQLite",
        conditions=f"{connections} connections, {users} users, {chosen.hash_threads} hash threads "
        f"on both sides, m={chosen.hash_memory_kib} KiB t={chosen.hash_time} p=1, load from "
        f"{generator.name}",
        unit="login",
        size=size,
        names=("bare argon2-cffi", "service"),
        turns=turns,
        target=TARGET,
    )
