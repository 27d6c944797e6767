"""What is stored for each thing that people do, and how much of it one writer can append.

People register, log in, and use their tokens day after day, on SQLite and on PostgreSQL; after each
step the database is measured: all of it, and the log, which stays for good. The writer is the
service's own, with batches as large as a service's and every commit on the disk. The processor time
that an event takes says what one lock could let through on a machine with nothing else to do, where
the disk is quick; how many there are a second, what it was on this one.
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
from tests.benchmarks.processor import Meter
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
    """A thing that was done so often: bytes each, of all and of the log, and events each.

    `writer_us` and `database_us` are processor time an event, of the writer (with SQLite in it) and
    of PostgreSQL.
    """

    name: str
    times: int
    whole: float
    log: float
    events: float
    events_a_second: float
    writer_us: float
    database_us: float

    def line(self) -> str:
        """A row of the table."""
        sizes = (self.whole, self.log, self.events)
        rates = (self.events_a_second, self.writer_us, self.database_us)
        return f"  {self.name:42}{''.join(f'{each:12,.0f}' for each in (*sizes, *rates))}"


class Storing(msgspec.Struct, frozen=True):
    """What each thing takes on one kind of store."""

    store: str
    people: int
    kinds: list[Kind]

    def lines(self) -> list[str]:
        """A table for people."""
        names = ("bytes", "of the log", "events", "events/s", "µs of CPU", "database's")
        heads = "".join(f"{each:>12}" for each in names)
        where = f"by {self.people:,} people on {self.store}, in batches of {MAX_BATCH}"
        return [
            f"Stored for each thing done, {where}",
            f"  {'':42}{heads}",
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

        ledger = _Ledger(opened(f"{SQLITE}{storage.path}", storage), look, None)
        return _measure(ledger, people, "SQLite")


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

        ledger = _Ledger(opened(url), look, server.pid)
        return _measure(ledger, people, f"PostgreSQL {version}")


class _Ledger:
    """Has things done in batches, and tells what each took; `database` is its server's process."""

    def __init__(self, store: Store, look: Callable[[], Stored], database: int | None) -> None:
        self.store = store
        self._look = look
        self._database = database
        self._writer = Writer(store.log, store.vault, store.ring, Policy())

    def done(self, name: str, wishes: Sequence[Wish], times: int | None = None) -> Kind:
        """Have them stored; `times` is how often that is what is named, else once for each."""
        before, head = self._look(), self._head()
        database = None if self._database is None else Meter(self._database)
        began, used = time.perf_counter(), time.process_time()
        for first in range(0, len(wishes), MAX_BATCH):
            commit(self._writer, wishes[first : first + MAX_BATCH])
        seconds, used = time.perf_counter() - began, time.process_time() - used
        theirs = 0.0 if database is None else database.used()
        after, events = self._look(), self._head() - head
        each = times or len(wishes)
        return Kind(
            name,
            each,
            (after.whole - before.whole) / each,
            (after.log - before.log) / each,
            events / each,
            events / seconds,
            used / events * 1e6,
            theirs / events * 1e6,
        )

    def _head(self) -> int:
        with self.store.storage.snapshot() as rows:
            return read_head(rows).position


def _measure(ledger: _Ledger, people: int, kind: str) -> Storing:
    population = Population(ledger.store, people, Clock())
    everybody = [Person.of(number) for number in range(people)]
    some = everybody[: max(1, people // 8)]
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
    ledger.store.storage.close()
    return Storing(kind, people, kinds)


def _number(rows: Rows, sql: str, *params: str) -> int:
    return int(rows.fetch(sql, params)[0][0] or 0)
