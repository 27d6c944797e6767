"""Connections to PostgreSQL that broke, froze, or reach a server that can't be believed."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
import pytest
from structlog.testing import capture_logs

from app import lookup as lookups
from app.lookup import IN_FLIGHT, PostgresLookup
from app.store import open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.errors import Unavailable
from domain.policy import Policy
from projections import reader_postgres, storage_postgres
from projections.connection_postgres import Connection
from projections.storage import Lost
from tests.faults.freezing import OURS, backends, frozen
from tests.postgres import PostgresServer
from tests.running import MASTER
from tests.store.intruding import intrude
from tests.store.wishing import log_in, register
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.store import Store
    from projections.storage import Rows

END_THEM = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE application_name = 'gatebook' AND datname = current_database()"""


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    store = open_store(storage_of(postgres_url), Vault(MASTER), "ES256")
    yield store
    store.storage.close()


@pytest.fixture
def writer(store: Store) -> Writer:
    return Writer(store.log, store.vault, store.ring, Policy(), sleep=lambda _: None)


def ended(url: str) -> int:
    with intrude(url) as intruder:
        return len(intruder.run(END_THEM))


def read_when_ended(rows: Rows, url: str) -> None:
    assert ended(url) == 2
    rows.fetch("SELECT 1")


def kinds(answers: list[object]) -> list[object]:
    return [type(each) if isinstance(each, Exception) else "stored" for each in answers]


def test_connections_that_ended_while_idle_cost_the_next_command_nothing(
    postgres_url: str, writer: Writer
) -> None:
    """Security rule 27."""
    writer.commit([register("ada")])
    assert kinds([*writer.commit([log_in("ada", "warm")])]) == ["stored"]
    for label in ("first", "second"):
        assert ended(postgres_url) > 0
        with capture_logs() as lines:
            assert kinds([*writer.commit([log_in("ada", label)])]) == ["stored"]
        assert lines == []


def test_connections_that_ended_while_idle_cost_the_next_reader_nothing(
    postgres_url: str, store: Store
) -> None:
    assert ended(postgres_url) == 2
    with store.storage.snapshot() as rows:
        assert rows.fetch("SELECT count(*) FROM store") == [(1,)]


def test_when_one_connection_is_lost_at_work_the_other_is_made_again(
    postgres_url: str, store: Store
) -> None:
    before = backends(postgres_url)
    assert len(before) == 2
    with pytest.raises(Lost), store.storage.transaction() as rows:
        read_when_ended(rows, postgres_url)
    until(lambda: backends(postgres_url), lambda left: not left)
    with store.storage.transaction(), store.storage.snapshot():
        assert len(backends(postgres_url)) == 2
    with pytest.raises(Lost), store.storage.snapshot() as rows:
        read_when_ended(rows, postgres_url)
    with store.storage.transaction() as rows:
        assert rows.fetch("SELECT 1") == [(1,)]


def test_discarding_drops_both_connections_but_none_that_is_read_through(
    postgres_url: str, store: Store
) -> None:
    with store.storage.snapshot() as rows:
        store.storage.discard()
        assert rows.fetch("SELECT count(*) FROM store") == [(1,)]
        assert len(backends(postgres_url)) == 1
    store.storage.discard()
    with store.storage.transaction() as rows:
        left = rows.fetch(OURS)
    assert len(left) == 1


def test_look_ups_whose_connections_ended_while_idle_are_answered(
    postgres_url: str, store: Store
) -> None:
    """Security rule 27."""

    async def look_up() -> None:
        lookup = PostgresLookup(postgres_url)
        try:
            for _ in range(3):
                heads = await asyncio.gather(lookup.head(), lookup.head())
                assert {each.log_id for each in heads} == {store.log_id}
                assert await lookup.session("a" * 22) is None
                assert await asyncio.to_thread(ended, postgres_url) > 0
        finally:
            await lookup.close()

    asyncio.run(look_up())


def test_look_ups_go_on_while_the_backends_that_served_them_stay_stopped(
    postgres_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Security rule 27."""
    store.storage.close()
    monkeypatch.setattr(lookups, "ANSWER_WITHIN", 0.5)

    async def look_up() -> None:
        lookup = PostgresLookup(postgres_url)
        try:
            while len(served := backends(postgres_url)) < IN_FLIGHT:
                first = asyncio.create_task(lookup.head())
                await asyncio.sleep(0)
                await asyncio.gather(first, lookup.session("a" * 22))
            with frozen(served):
                with pytest.raises(Unavailable):
                    await lookup.session("a" * 22)
                while True:  # the other worker has a stopped one too
                    with suppress(Unavailable):
                        assert (await lookup.head()).log_id == store.log_id
                        break
                assert await lookup.session("a" * 22) is None
                assert backends(postgres_url) - served
        finally:
            await lookup.close()

    async def in_time() -> None:
        async with asyncio.timeout(30):
            await look_up()

    asyncio.run(in_time())


def test_a_connection_for_look_ups_that_freezes_while_it_is_set_up_is_given_up(
    postgres_url: str,
) -> None:
    with intrude(postgres_url) as intruder:
        ((name,),) = intruder.run("SELECT current_database()")
        intruder.run("CREATE SCHEMA shadow")
        intruder.run(
            "CREATE FUNCTION shadow.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS "
            "$$ SELECT pg_sleep(60) IS NULL $$"
        )
        intruder.run(f'ALTER DATABASE "{name}" SET search_path = shadow, pg_catalog')

    async def connect() -> None:
        async with asyncio.timeout(30):
            with pytest.raises(Lost):
                await reader_postgres.connect(postgres_url, 0.1)

    asyncio.run(connect())


def test_a_command_for_a_server_that_stopped_being_durable_is_unavailable(
    postgres_url: str, writer: Writer
) -> None:
    """Security rule 23."""
    writer.commit([register("ada")])
    with intrude(postgres_url) as intruder:
        ((name,),) = intruder.run("SELECT current_database()")
        intruder.run(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    ended(postgres_url)
    with capture_logs() as lines:
        answers = writer.commit([log_in("ada", "a"), register("bob")])
    assert kinds([*answers]) == [Unavailable, Unavailable]
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("store_not_durable", "error")
    ]
    until(lambda: backends(postgres_url), lambda left: not left)
    with intrude(postgres_url) as intruder:
        intruder.run(f'ALTER DATABASE "{name}" RESET synchronous_commit')
    assert kinds([*writer.commit([log_in("ada", "a")])]) == ["stored"]


def test_a_lock_that_has_just_come_to_who_is_silent_is_freed_without_another_deadline(
    store: Store, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Security rule 27: of a process that stopped, another connection was next in the queue."""
    silent, sleep = threading.Event(), time.sleep
    monkeypatch.setattr(storage_postgres, "SESSION", "SET lock_timeout = 200")
    with psycopg.connect(postgres_url) as holder:

        def talk() -> None:
            while not silent.is_set():
                holder.execute("SELECT 1")

        def look_again(seconds: float) -> None:
            silent.set()
            talking.join()
            sleep(seconds)

        holder.execute("SELECT pg_advisory_xact_lock(%s)", [storage_postgres.APPEND_LOCK])
        talking = threading.Thread(target=talk)
        talking.start()
        monkeypatch.setattr(time, "sleep", look_again)
        store.storage.discard()
        try:
            with pytest.raises(Lost), store.storage.transaction():
                pass
        finally:
            silent.set()
        talking.join()
        with pytest.raises(psycopg.OperationalError):
            holder.execute("SELECT 1")


def test_a_connection_that_can_t_be_set_up_is_closed(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[psycopg.Connection[tuple[object, ...]]] = []
    really = Connection.connect

    def remembering(*args: object, **settings: object) -> psycopg.Connection[tuple[object, ...]]:
        kept.append(really(*args, **settings))  # type: ignore[arg-type]
        return kept[-1]

    monkeypatch.setattr(Connection, "connect", remembering)
    monkeypatch.setattr(storage_postgres, "SESSION", "SET no_such_setting = 1")
    with pytest.raises(Lost, match="no_such_setting"):
        storage_postgres.connect(postgres_url)
    assert [each.closed for each in kept] == [True]


def test_a_standby_is_refused_to_writers_and_readers() -> None:
    """Security rule 16."""
    with PostgresServer() as server:
        server.stop()
        (server.data / "standby.signal").touch()
        server.start()
        with psycopg.connect(server.url()) as control:
            assert control.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
        with pytest.raises(Lost, match="target_session_attrs=read-write"):
            storage_postgres.connect(server.url())
        with pytest.raises(Lost, match="target_session_attrs=read-write"):
            asyncio.run(reader_postgres.connect(server.url(), 10))
        with pytest.raises(Lost), storage_of(server.url()).snapshot():
            pass
        assert server.psql(OURS) == []
