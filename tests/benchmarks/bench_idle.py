"""What a service costs that nobody asks anything, with all that it does by itself.

One service process with its default settings, on SQLite and on PostgreSQL, whose following views
have caught up with what a few people did before.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from tests.benchmarks import asking
from tests.benchmarks.figures import Summary, summary, verdict
from tests.benchmarks.processes import CHEAP, SERVICE, serving, settings
from tests.benchmarks.processor import cpu_seconds
from tests.postgres import PostgresServer

TURNS: Final = 5
SECONDS: Final = 12.0
QUICK_TURNS: Final = 2
QUICK_SECONDS: Final = 2.0
SETTLED_S: Final = 3.0
PEOPLE: Final = 8
PERCENT: Final = 1.0


class Idle(msgspec.Struct, frozen=True):
    """Per cent of a core on one kind of store; the database server's is not in it."""

    store: str
    percent: Summary

    def lines(self) -> list[str]:
        """For people."""
        each = self.percent
        mark = ", MISSED" if verdict(each, PERCENT) == "missed" else ""
        spread = f"({each.least:.2f} to {each.most:.2f}, n = {each.n}; at most {PERCENT:.0f}{mark})"
        return [f"Idle on {self.store}, % of a core: {each.median:.2f} {spread}"]


def run(*, quick: bool) -> list[Idle]:
    """Measure on each store; quickly on SQLite alone."""
    turns, seconds = (QUICK_TURNS, QUICK_SECONDS) if quick else (TURNS, SECONDS)
    with tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory:
        found = [Idle("SQLite", measure(f"sqlite:///{directory}/gatebook.db", turns, seconds))]
    if not quick:
        with PostgresServer() as server:
            url = server.create_database()
            found.append(Idle("PostgreSQL", measure(url, turns, seconds)))
    return found


def measure(url: str, turns: int, seconds: float, settled: float = SETTLED_S) -> Summary:
    """So many turns of so many seconds, in per cent of a core."""
    with (
        tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory,
        serving(SERVICE, settings(url, CHEAP), Path(directory, "service.log")) as service,
    ):
        asking.authenticate(service.port, asking.register(service.port, PEOPLE))
        time.sleep(settled)
        found = []
        for _ in range(turns):
            used, since = cpu_seconds(service.pid), time.monotonic()
            time.sleep(seconds)
            found.append(100 * (cpu_seconds(service.pid) - used) / (time.monotonic() - since))
    return summary(found)
