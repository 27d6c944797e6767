"""A long log: how fast a view is rebuilt from it, and it is proved; how soon a first page is there.

On SQLite. The `eventsourcing` library's own runner fills the same view from the same log beside it,
event by event, in turns. Run as `python -m tests.benchmarks log`.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from app.audit import Wanted, places, read_page
from app.eventstore.log import read_head
from app.rebuilding import rebuild_of
from app.store import Store, open_store, storage_of
from app.vault import Vault
from app.verifying.store import Report, verify_log, verify_store
from app.writer import Writer
from domain.policy import Policy
from projections.rebuild import Swapped
from tests.benchmarks import stock_runner
from tests.benchmarks.figures import Summary, ratios, summary
from tests.running import MASTER
from tests.store.wishing import commit, end, fail, log_in, register, rotate, use, user_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from projections.storage import Rows

EVENTS: Final = 1_000_000
EVENTS_QUICK: Final = 10_000
STOCK: Final = 20_000
"""Events that the library's runner is given; it takes as long for each."""
TURNS: Final = 3
TURNS_QUICK: Final = 1
PAGES: Final = 50
PAGE: Final = 100
PEOPLE: Final = 2_000
REBUILD_A_SECOND: Final = 30_000
FIRST_PAGE_MS: Final = 20.0
LOG_ONLY_A_SECOND: Final = 50_000
WHOLE_A_SECOND: Final = 10_000


class LogFigures(msgspec.Struct, frozen=True):
    """What a log of so many events takes; rates in events a second, pages in ms."""

    events: int
    rebuild: Summary
    stock: Summary
    to_stock: Summary
    log_only: Summary
    whole: Summary
    by_user_ms: Summary
    by_time_ms: Summary

    def lines(self) -> list[str]:
        """A table for people."""
        counted = f"n = {self.rebuild.n} turns, {self.by_user_ms.n} pages"
        return [
            f"A log of {self.events:,} events on SQLite, {counted}",
            _row("token look-up rebuilt, events/s", self.rebuild, REBUILD_A_SECOND, least=True),
            _row(f"  by the library's runner ({STOCK:,} events)", self.stock),
            _row("  ratio", self.to_stock, digits=1),
            _row("audit verify --log-only, events/s", self.log_only, LOG_ONLY_A_SECOND, least=True),
            _row("audit verify, events/s", self.whole, WHOLE_A_SECOND, least=True),
            _row("first page of a user's events, ms", self.by_user_ms, FIRST_PAGE_MS, digits=2),
            _row("first page from a time on, ms", self.by_time_ms, FIRST_PAGE_MS, digits=2),
        ]


def run(*, quick: bool) -> LogFigures:
    """Make a log, and measure."""
    return measure(EVENTS_QUICK, TURNS_QUICK) if quick else measure(EVENTS, TURNS)


def measure(events: int, turns: int) -> LogFigures:
    """On a log of so many events."""
    with made(events) as (store, directory):
        last = min(STOCK, events)
        ours, theirs, log_only, whole = [], [], [], []
        for turn in range(turns):
            ours.append(_head(store) / _timed(lambda: _rebuild(store)))
            folder = directory / str(turn)
            folder.mkdir()
            theirs.append(last / _timed(partial(stock_runner.run, store.log, last, folder)))
            log_only.append(_head(store) / _timed(partial(_verify, store, verify_log)))
            whole.append(_head(store) / _timed(partial(_verify, store, verify_store)))
        return LogFigures(
            events,
            summary(ours),
            summary(theirs),
            ratios(ours, theirs),
            summary(log_only),
            summary(whole),
            summary(
                [_first_page(store, by_user=number % _people(events)) for number in range(PAGES)]
            ),
            summary([_first_page(store, by_time=number / PAGES) for number in range(PAGES)]),
        )


@contextmanager
def made(events: int) -> Iterator[tuple[Store, Path]]:
    """A store with at least so many events, and the folder that it is in."""
    with tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory:
        store = open_store(storage_of(f"sqlite:///{directory}/log.db"), Vault(MASTER), "ES256")
        writer = Writer(store.log, store.vault, store.ring, Policy())
        _fill(store, writer, events)
        yield store, Path(directory)
        store.storage.close()


def _fill(store: Store, writer: Writer, events: int) -> None:
    people = [f"person-{number}" for number in range(_people(events))]
    for some in _in(people, 64):
        commit(writer, [register(each) for each in some])
    turn = 0
    while _head(store) < events:
        for some in _in(people, 64):
            commit(writer, [log_in(each, f"{turn}") for each in some])
            commit(writer, [use(each, f"{turn}") for each in some])
            commit(writer, [rotate(each, f"{turn}") for each in some])
            commit(writer, [end(each, f"{turn}") for each in some])
            commit(writer, [fail(each) for each in some[:4]])
            if _head(store) >= events:
                return
        turn += 1


def _people(events: int) -> int:
    return min(PEOPLE, events // 20)


def _in(people: list[str], size: int) -> Iterator[list[str]]:
    for first in range(0, len(people), size):
        yield people[first : first + size]


def _head(store: Store) -> int:
    with store.storage.snapshot() as rows:
        return read_head(rows).position


def _rebuild(store: Store) -> None:
    rebuild = rebuild_of(store.storage)
    outcome = rebuild.run(rebuild.begin("token_lookup"))
    if not isinstance(outcome, Swapped) or outcome.differed:
        raise RuntimeError(f"the view was not rebuilt: {outcome}")


def _verify(
    store: Store, work: Callable[[Rows, Vault, None, Callable[[int], None]], Report]
) -> None:
    with store.storage.snapshot() as rows:
        found = work(rows, store.vault, None, lambda _: None)
    if not found.ok:
        raise RuntimeError(f"an honest log isn't: {found.findings[:3]}")


def _first_page(store: Store, *, by_user: int = -1, by_time: float = 0.0) -> float:
    with store.storage.snapshot() as rows:
        head = read_head(rows).position
        at = rows.fetch("SELECT time FROM events WHERE position = ?", (int(head * by_time) + 1,))
    if by_user >= 0:
        wanted = Wanted(user_key(f"person-{by_user}"))
    else:
        wanted = Wanted(since=int(at[0][0] or 0))
    found = []

    def read() -> None:
        with store.storage.snapshot() as rows:
            after, last = places(rows, wanted)
            found.append(read_page(rows, store.vault, wanted, after, last, PAGE))

    seconds = _timed(read)
    if not found[0].items:
        raise RuntimeError("the page is empty")
    return seconds * 1000


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _row(
    name: str, figures: Summary, target: float = 0.0, *, least: bool = False, digits: int = 0
) -> str:
    numbers = (figures.median, figures.least, figures.most)
    text = f"  {name:46}" + "".join(f"{each:>12,.{digits}f}" for each in numbers)
    if not target:
        return text
    reached = figures.median >= target if least else figures.median <= target
    sign = ">=" if least else "<="
    return f"{text}   target {sign} {target:,.0f}: {'reached' if reached else 'NOT reached'}"
