"""How many events a second `audit verify` proves, of the log alone and of the whole.

On SQLite, in this process, in one thread, A B A B. The store is made by the writer: registrations,
logins, uses, rotations, ends of sessions and failed logins. Run as
`python -m tests.benchmarks.bench_verify [--events N]`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from app.store import open_store, storage_of
from app.vault import Vault
from app.verifying.store import verify_log, verify_store
from app.writer import Writer
from domain.policy import Policy
from tests.benchmarks.figures import Summary, summary
from tests.running import MASTER
from tests.store.wishing import commit, end, fail, log_in, register, rotate, use

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.store import Store

EVENTS: Final = 1_000_000
EVENTS_QUICK: Final = 10_000
TURNS: Final = 3
TARGETS: Final = {"log only": 50_000, "whole": 10_000}
"""Events a second, on an ordinary machine of two cores."""
_WORK: Final = {"log only": verify_log, "whole": verify_store}
_A_TIME: Final = 32
"""People of a batch; each leads to nine events."""
_EACH: Final = 9


def run(events: int, turns: int = TURNS) -> dict[str, Summary]:
    """Events a second of both, on a new log of about so many."""
    figures: dict[str, list[float]] = {name: [] for name in _WORK}
    with _store(events) as store:
        for _ in range(turns):
            for name, work in _WORK.items():
                started = time.perf_counter()
                with store.storage.snapshot() as rows:
                    found = work(rows, store.vault, None, lambda _: None)
                if not found.ok:
                    raise RuntimeError(f"an honest log isn't: {found.findings[:3]}")
                figures[name].append(found.head / (time.perf_counter() - started))
    return {name: summary(values) for name, values in figures.items()}


def lines(events: int, found: dict[str, Summary]) -> list[str]:
    """What was measured, beside what is wanted."""
    title = f"audit verify, events/s of wall time, a log of about {events:,}, SQLite"
    return [
        title,
        *(
            f"{name:10} median {each.median:10,.0f}  least {each.least:10,.0f}  "
            f"most {each.most:10,.0f}  n = {each.n}  target {TARGETS[name]:,}"
            for name, each in found.items()
        ),
    ]


@contextmanager
def _store(events: int) -> Iterator[Store]:
    with tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory:
        storage = storage_of(f"sqlite:///{directory}/gatebook.db")
        store = open_store(storage, Vault(MASTER), "ES256")
        writer = Writer(store.log, store.vault, store.ring, Policy())
        for first in range(0, events // _EACH, _A_TIME):
            people = [f"person{number}" for number in range(first, first + _A_TIME)]
            commit(writer, map(register, people))
            commit(writer, (log_in(each, "one") for each in people))
            commit(writer, (use(each, "one") for each in people))
            commit(writer, (rotate(each, "one") for each in people))
            commit(writer, (log_in(each, "two") for each in people))
            commit(writer, (end(each, "two") for each in people))
            commit(writer, map(fail, people))
        yield store
        storage.close()


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--turns", type=int, default=TURNS)
    given = parser.parse_args()
    print("\n".join(lines(given.events, run(given.events, given.turns))))


if __name__ == "__main__":
    main()
