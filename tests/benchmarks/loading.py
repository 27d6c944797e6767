"""One turn under load: how much a server answered, and what it and its database used for that.

Knows nothing of what is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.comparison import Turn
from tests.benchmarks.processor import Meter

if TYPE_CHECKING:
    from tests.benchmarks.load import Generator, Target


def loaded(
    generator: Generator, target: Target, seconds: float, pid: int, database: int | None = None
) -> tuple[Turn, int]:
    """Load a server, whose processes are below `pid`; what it was, and how many requests.

    `database` is the process that all of a database server's are children of. Raises `LoadError`.
    """
    own = Meter(pid)
    databases = None if database is None else Meter(database)
    tally = generator.generate(target, seconds)
    turn = Turn(
        tally.requests / tally.seconds,
        own.used() / tally.requests * 1e6,
        None if databases is None else databases.used() / tally.requests * 1e6,
    )
    return turn, tally.requests
