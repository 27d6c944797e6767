"""PostgreSQL that freezes, whole or one process of it: nobody waits for it for ever."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest

from app.eventstore.feed import LogFeed
from app.eventstore.log import read_head
from app.store import open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.errors import Unavailable
from domain.policy import Policy
from projections import connection_postgres
from projections.connection_postgres import Connection
from projections.live import read_pointers
from projections.registry import PROJECTIONS
from projections.runner import Follower
from projections.storage import Ended, Lost, OutcomeUnknown
from projections.storage_postgres import connect
from tests.faults.freezing import backends, frozen
from tests.postgres import PostgresServer
from tests.running import MASTER
from tests.store.intruding import intrude
from tests.store.wishing import log_in, register
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.store import Store
    from app.writer import Answer
    from projections.storage import Rows
    from tests.store.intruding import Intruder

LATE_COMMITS = """
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION wait()"""
COMMITTING = "SELECT pid FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event = 'PgSleep'"
QUEUED = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
UNHEARD = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture(autouse=True)
def silent_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_postgres, "SILENT_FOR", 0.5)


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    store = open_store(storage_of(postgres_url), Vault(MASTER), "ES256")
    yield store
    store.storage.close()


@pytest.fixture
def writer(store: Store) -> Writer:
    return Writer(store.log, store.vault, store.ring, Policy(), sleep=lambda _: None)


def stored(answers: list[Answer]) -> list[bool]:
    return [not isinstance(each, Exception) for each in answers]


def test_a_command_goes_on_while_the_processes_that_served_the_last_one_are_frozen(
    postgres_url: str, writer: Writer
) -> None:
    """Security rule 27."""
    writer.commit([register("ada")])
    with frozen(backends(postgres_url)):
        assert stored(writer.commit([log_in("ada", "late")])) == [True]
        assert stored(writer.commit([log_in("ada", "again"), register("bob")])) == [True, True]


def test_a_list_goes_on_while_the_process_that_served_the_last_one_is_frozen(
    postgres_url: str, store: Store
) -> None:
    """Security rule 27."""
    with frozen(backends(postgres_url)), store.storage.snapshot() as rows:
        assert read_head(rows).position > 0


def test_views_are_followed_while_the_processes_that_served_the_follower_are_frozen(
    postgres_url: str, store: Store, writer: Writer
) -> None:
    follower = Follower(store.storage, LogFeed(), PROJECTIONS)
    follower.catch_up()
    writer.commit([register("ada")])
    with frozen(backends(postgres_url)):
        assert follower.catch_up() == {}
        with store.storage.snapshot() as rows:
            reached = {each.position for each in read_pointers(rows).values()}
            assert reached == {read_head(rows).position}


def test_a_confirmation_goes_on_while_the_process_of_the_last_one_is_frozen(
    postgres_url: str, store: Store
) -> None:
    store.storage.confirm(read_head)
    with frozen(backends(postgres_url)):
        store.storage.confirm(read_head)


def fetch(rows: Rows) -> None:
    rows.fetch("SELECT 1")


def send(rows: Rows) -> None:
    for _ in range(2):
        rows.execute("UPDATE store SET generation = generation")
    fetch(rows)


def scan(rows: Rows) -> None:
    list(rows.scan("SELECT 1"))


@pytest.mark.parametrize("work", [fetch, send, scan])
def test_what_freezes_at_work_is_lost(work, postgres_url: str, store: Store) -> None:
    with (
        pytest.raises(Lost, match="said nothing"),
        store.storage.transaction() as rows,
        frozen(backends(postgres_url)),
    ):
        work(rows)
    with store.storage.transaction() as rows:
        work(rows)


def test_who_reads_for_long_is_given_the_time(
    store: Store, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    with store.storage.snapshot() as rows:
        assert list(rows.scan("SELECT 1 FROM pg_sleep(1)")) == [[(1,)]]
    monkeypatch.setattr("projections.rows_postgres.PATIENCE", 1.0)
    with store.storage.snapshot() as rows:
        scanned = rows.scan("SELECT n FROM generate_series(1, 2000) AS s (n)")
        next(scanned)
        with frozen(backends(postgres_url)), pytest.raises(Lost, match=r"for 1\.0 s"):
            next(scanned)
    with pytest.raises(Lost), store.storage.snapshot() as rows:
        rows.fetch("SELECT pg_sleep(1)")


def committing(intruder: Intruder, writer: Writer) -> tuple[list[Answer], threading.Thread, int]:
    """A change whose commit takes long: its answers, who waits for them, and by which process."""
    intruder.run(LATE_COMMITS)
    answers: list[Answer] = []
    wish = log_in("ada", "late")
    change = threading.Thread(target=lambda: answers.extend(writer.commit([wish])))
    change.start()
    ((pid,),) = until(lambda: intruder.run(COMMITTING))
    assert isinstance(pid, int)
    return answers, change, pid


def test_a_commit_that_froze_is_looked_for_by_a_new_connection(
    postgres_url: str, writer: Writer
) -> None:
    """Security rule 26: its process holds the lock until it goes on."""
    writer.commit([register("ada")])
    with intrude(postgres_url) as intruder:
        answers, change, pid = committing(intruder, writer)
        with frozen({pid}):
            until(lambda: intruder.run(QUEUED))
            assert answers == []
        change.join()
    assert stored(answers) == [True]


def test_where_one_was_silent_the_others_are_made_again_without_a_wait(
    postgres_url: str, store: Store
) -> None:
    with closing(store.storage.another()) as another:
        for storage in (store.storage, another):
            storage.confirm(read_head)
            with storage.snapshot() as rows:
                read_head(rows)
        before = Connection.silences
        with frozen(backends(postgres_url)):
            for storage in (store.storage, another):
                storage.confirm(read_head)
                with storage.snapshot() as rows:
                    read_head(rows)
        assert Connection.silences == before + 1


def test_a_server_that_takes_connections_and_says_nothing_is_passed_over(postgres_url: str) -> None:
    """Security rule 27: after a fail-over the other one of the URL is the primary."""
    parts = urlsplit(postgres_url)
    user, _, address = parts.netloc.rpartition("@")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = f"127.0.0.1:{silent.getsockname()[1]}"
        alone, both = (
            urlunsplit(parts._replace(netloc=f"{user}@{each}"))
            for each in (hosts, f"{hosts},{address}")
        )
        with pytest.raises(Lost, match="timeout"):
            connect(alone)
        with closing(connect(both)) as connection:
            assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_a_confirmation_in_vain_keeps_no_process_of_the_server() -> None:
    """Security rule 27: else they would add up to all that it has while a standby is away."""
    with PostgresServer() as server:
        url = server.create_database()
        store = open_store(storage_of(url), Vault(MASTER), "ES256")
        with closing(store.storage) as storage:
            server.configure({"synchronous_standby_names": "away"})
            until(lambda: server.psql("SHOW synchronous_standby_names") == [("away",)])
            with suppress(OutcomeUnknown):
                storage.confirm(read_head)  # its process may have to hear of it yet
            with pytest.raises(OutcomeUnknown):
                storage.confirm(read_head)
            until(lambda: server.psql(UNHEARD), lambda left: not left)


def test_a_process_that_is_about_to_stop_waits_for_nobody(
    postgres_url: str, store: Store, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long who isn't silent may take otherwise; nor is a commit in doubt looked for."""
    writer.commit([register("ada")])
    monkeypatch.setattr(connection_postgres, "SILENT_FOR", 60.0)
    monkeypatch.setattr(connection_postgres, "ENDING_WITHIN", 0.3)
    begun = time.monotonic()
    with closing(store.storage.another()) as another, frozen(backends(postgres_url)):
        store.storage.hasten()
        (answer,) = writer.commit([log_in("ada", "never")])
        assert isinstance(answer, Unavailable)
        with pytest.raises(Ended), another.snapshot():
            pass
    assert time.monotonic() - begun < 30


def test_a_commit_that_froze_is_not_looked_for_by_who_is_about_to_stop(
    postgres_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Security rule 26: whoever waits for it hears that it may have been stored."""
    slept: list[float] = []
    writer = Writer(store.log, store.vault, store.ring, Policy(), sleep=slept.append)
    writer.commit([register("ada")])
    monkeypatch.setattr(connection_postgres, "ENDING_WITHIN", 0.0)
    with intrude(postgres_url) as intruder:
        answers, change, pid = committing(intruder, writer)
        with frozen({pid}):
            store.storage.hasten()
            change.join()
    (answer,) = answers
    assert isinstance(answer, Unavailable)
    assert answer.unsure
    assert slept == []
