"""What is stored for each thing that people do, and how much of it one writer can append.

People register, log in, and use their tokens day after day, on SQLite and on PostgreSQL; after each
step the database is measured: all of it, and the log, which stays for good. The writer is the
service's own, with batches as large as a service's and every commit on the disk.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from app.dispatcher import MAX_BATCH
from app.eventstore.log import read_head
from app.store import SQLITE, Store
from app.writer import Wish, Writer
from domain.policy import Policy
from projections.storage import Rows
from projections.storage_sqlite import SqliteStorage
from tests.benchmarks.population import Clock, Person, Population, opened
from tests.postgres import PostgresServer
from tests.store.wishing import commit

PEOPLE: Final = 4_000
PEOPLE_QUICK: Final = 400
DAYS: Final = 3
USES_A_DAY: Final = 24
"""Of a session whose access tokens last an hour, all day long."""

_POSTGRES_SIZES: Final = """
SELECT pg_database_size(current_database()), pg_total_relation_size('events')"""
_SQLITE_ALL: Final = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
_SQLITE_LOG: Final = "SELECT sum(pgsize) FROM dbstat WHERE name IN ('events', ?)"


class Stored(NamedTuple):
    """Bytes of a database, and of its log."""

    whole: int
    log: int


class Kind(msgspec.Struct, frozen=True):
    """A thing that was done so often: bytes each, of all and of the log; events, and a second."""

    name: str
    times: int
    whole: float
    log: float
    events: float
    events_a_second: float

    def line(self) -> str:
        """A row of the table."""
        numbers = (self.whole, self.log, self.events, self.events_a_second)
        texts = (f"{each:12,.0f}" for each in numbers)
        return f"  {self.name:44}{''.join(texts)}"


class Storing(msgspec.Struct, frozen=True):
    """What each thing takes on one kind of store."""

    store: str
    people: int
    kinds: list[Kind]

    def lines(self) -> list[str]:
        """A table for people."""
        heads = "".join(f"{each:>12}" for each in ("bytes", "of the log", "events", "events/s"))
        where = f"by {self.people:,} people on {self.store}, in batches of {MAX_BATCH}"
        return [
            f"Stored for each thing done, {where}",
            f"  {'':44}{heads}",
            *(each.line() for each in self.kinds),
        ]


def run(*, quick: bool) -> Iterator[Storing]:
    """Measure on each kind of store."""
    people = PEOPLE_QUICK if quick else PEOPLE
    yield on_sqlite(people)
    yield on_postgresql(people)


def on_sqlite(people: int) -> Storing:
    """In a new file."""
    with tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory:
        storage = SqliteStorage(Path(directory, "gatebook.db"))

        def look() -> Stored:
            storage.checkpoint()
            with storage.snapshot() as rows:
                whole = _number(rows, _SQLITE_ALL)
                return Stored(whole, _number(rows, _SQLITE_LOG, "sqlite_autoindex_events_1"))

        return _measure(opened(f"{SQLITE}{storage.path}", storage), people, "SQLite", look)


def on_postgresql(people: int) -> Storing:
    """In a new database of a server of its own."""
    with PostgresServer() as server:
        [(version,)] = server.psql("SHOW server_version")
        url = server.create_database()
        database = url.rpartition("/")[2]

        def look() -> Stored:
            server.psql("CHECKPOINT")
            [(whole, log)] = server.psql(_POSTGRES_SIZES, database)
            return Stored(int(str(whole)), int(str(log)))

        return _measure(opened(url), people, f"PostgreSQL {version}", look)


class _Ledger:
    """Has things done in batches, and tells what each took."""

    def __init__(self, store: Store, look: Callable[[], Stored]) -> None:
        self._store = store
        self._look = look
        self._writer = Writer(store.log, store.vault, store.ring, Policy())

    def done(self, name: str, wishes: Sequence[Wish], times: int | None = None) -> Kind:
        """Have them stored; `times` is how often that is what is named, else once for each."""
        before, head = self._look(), self._head()
        began = time.perf_counter()
        for first in range(0, len(wishes), MAX_BATCH):
            commit(self._writer, wishes[first : first + MAX_BATCH])
        seconds = time.perf_counter() - began
        after, events = self._look(), self._head() - head
        each = times or len(wishes)
        return Kind(
            name,
            each,
            (after.whole - before.whole) / each,
            (after.log - before.log) / each,
            events / each,
            events / seconds,
        )

    def _head(self) -> int:
        with self._store.storage.snapshot() as rows:
            return read_head(rows).position


def _measure(store: Store, people: int, kind: str, look: Callable[[], Stored]) -> Storing:
    population = Population(store, people, Clock())
    everybody = [Person.of(number) for number in range(people)]
    some = everybody[: max(1, people // 8)]
    ledger = _Ledger(store, look)
    registered = ledger.done("a user", [population.registered(who) for who in everybody])
    first = [population.logged_in(who, 0) for who in everybody]
    again = [population.logged_in(who, 1, known=True) for who in everybody]
    uses = [population.used(who, 0) for who in everybody]
    due = [population.used(who, 0, "every") for _ in range(DAYS) for who in everybody]
    all_day = [population.used(who, 1, "every") for _ in range(USES_A_DAY) for who in some]
    kinds = [
        registered,
        ledger.done("a login from a network that is new", first),
        ledger.done("a login from a known network", again),
        ledger.done("a token's first use", uses),
        ledger.done("a day of a live session", due),
        ledger.done(f"the same with {USES_A_DAY} uses, each recorded", all_day, len(some)),
        ledger.done("a rotation", [population.rotated(who, 0) for who in everybody]),
        ledger.done("the end of a session", [population.ended(who, 1) for who in everybody]),
    ]
    store.storage.close()
    return Storing(kind, people, kinds)


def _number(rows: Rows, sql: str, *params: str) -> int:
    return int(rows.fetch(sql, params)[0][0] or 0)
