"""The service in this process on a store of each kind, at a time that moves when it is told to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
import time_machine
from litestar import Litestar
from litestar.testing import TestClient

from app.bootstrap import Service
from app.buckets_memory import MemoryKeeper
from app.buckets_postgres import PostgresKeeper
from app.store import storage_of
from tests.http.conftest import Starting
from tests.postgres import Postgres

BEGINNING = 1_800_000_000.0
"""When every test begins, in seconds since the epoch."""

PATIENCE = 60.0
"""Seconds; only ever spent when a test fails."""

FAKE_CLOCK = (
    "CREATE TABLE public.fake_clock (at DOUBLE PRECISION NOT NULL)",
    f"INSERT INTO public.fake_clock VALUES ({BEGINNING})",
    """CREATE FUNCTION public.clock_timestamp() RETURNS TIMESTAMPTZ LANGUAGE sql VOLATILE
    AS 'SELECT to_timestamp(at) FROM public.fake_clock'""",
    # A schema that stands before pg_catalog hides what is in that.
    """DO $$ BEGIN EXECUTE
    format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$""",
)


class Clock:
    """The time of this process and of its store; stands still until it is shifted."""

    def __init__(self, process: time_machine.Traveller, store: Callable[[str], object]) -> None:
        self._process = process
        self._store = store

    def shift(self, seconds: float) -> None:
        self._process.shift(seconds)
        self._store(f"UPDATE public.fake_clock SET at = at + {seconds}")


class Serving(Starting):
    """Starts the service on a store of either kind; `service` is the one started last."""

    service: Service

    def __call__(
        self, *, on_start: Callable[[Service], None] | None = None, **more: str
    ) -> TestClient[Litestar]:
        def started(service: Service) -> None:
            self.service = service
            keeper = service.accounts._sources._keeper
            assert isinstance(keeper, MemoryKeeper | PostgresKeeper)
            if isinstance(keeper, MemoryKeeper):
                keeper._clock = time.time  # budgets fill by the same time as all else
            keeper._patience = service.pool._max_wait = PATIENCE
            if on_start is not None:
                on_start(service)

        return super().__call__(on_start=started, **more)


@pytest.fixture
def clock(database_url: str, request: pytest.FixtureRequest) -> Iterator[Clock]:
    store: Callable[[str], object] = bool
    if database_url.startswith("postgres"):
        postgres: Postgres = request.getfixturevalue("postgres")
        database = urlsplit(database_url).path.removeprefix("/")

        def store(sql: str) -> object:
            return postgres.psql(sql, database)

        for statement in FAKE_CLOCK:
            store(statement)
    with time_machine.travel(BEGINNING, tick=False) as process:
        yield Clock(process, store)


@pytest.fixture
def start(database_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    """Starts it, patient: on a busy machine too a crowd waits for its turn."""
    for name in (
        "deadline.WITHIN",
        "dispatcher.ANSWER_WITHIN",
        "lookup.ANSWER_WITHIN",
        "buckets_postgres.PATIENCE",
    ):
        monkeypatch.setattr(f"app.{name}", PATIENCE)
    serving = Serving(database_url)
    yield serving
    serving.stop()


@pytest.fixture
def api(start: Serving) -> TestClient[Litestar]:
    """The service in this process, with nothing set but the cheapest hash."""
    return start()


@pytest.fixture
def stored(database_url: str) -> Callable[[], list[str]]:
    """Gives the types of all events, in the log's order."""

    def read() -> list[str]:
        storage = storage_of(database_url)
        try:
            with storage.snapshot() as rows:
                return [
                    str(row[0]) for row in rows.fetch("SELECT topic FROM events ORDER BY position")
                ]
        finally:
            storage.close()

    return read
