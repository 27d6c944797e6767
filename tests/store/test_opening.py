"""Opening a store: made once by whoever comes first, refused when it couldn't keep its word."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from typing import TYPE_CHECKING

import pytest

from app.store import UnusableStore, open_store, storage_of
from app.vault import Vault
from domain.errors import Damage
from projections import reader_postgres
from projections.storage import Lost, NotDurable
from projections.storage_sqlite import SqliteStorage
from tests.store import processes
from tests.store.conftest import MASTER
from tests.store.intruding import intrude
from tests.store.wishing import register

if TYPE_CHECKING:
    from pathlib import Path

    from app.store import Store
    from app.writer import Writer
    from tests.postgres import Postgres
    from tests.store.conftest import OpenStore


def test_sixteen_processes_that_start_at_once_make_one_store(postgres: Postgres) -> None:
    """Security rule 29, in its short form."""
    urls = [postgres.create_database() for _ in range(3)]
    found = processes.gather(processes.open_together, [(urls, processes.barrier(16))] * 16)
    assert all(each == found[0] for each in found)
    assert len({log_id for log_id, _ in found[0]}) == len(urls)
    for url in urls:
        with intrude(url) as intruder:
            topics = intruder.run("SELECT topic FROM events ORDER BY position")
            assert topics == [("log.opened",), ("signing_key.added",), ("signing_key.activated",)]
            assert intruder.run("SELECT count(*) FROM ring_keys") == [(5,)]
        postgres.discard_database(url)


def test_a_store_is_the_same_when_it_is_opened_again(store: Store, opened: OpenStore) -> None:
    again = opened()
    assert (again.log_id, again.ring) == (store.log_id, store.ring)


def test_another_master_key_is_refused(store: Store) -> None:
    """Security rule 23."""
    with pytest.raises(Damage, match="GATEBOOK_MASTER_KEY"):
        open_store(store.storage, Vault(bytes(32)), "ES256")
    assert open_store(store.storage, Vault(bytes(32), MASTER), "ES256").ring == store.ring


def test_a_changed_ring_key_is_refused(store: Store, database_url: str) -> None:
    with intrude(database_url) as intruder:
        intruder.run(
            "UPDATE ring_keys SET wrapped = (SELECT r.wrapped FROM ring_keys r "
            "WHERE r.name = 'refresh') WHERE name = 'log'"
        )
    with pytest.raises(Damage, match="ring log"):
        open_store(store.storage, store.vault, "ES256")


def test_a_missing_ring_key_is_refused(store: Store, database_url: str) -> None:
    with intrude(database_url) as intruder:
        intruder.run("DELETE FROM ring_keys WHERE name = 'name'")
    with pytest.raises(Damage, match="«name»"):
        open_store(store.storage, store.vault, "ES256")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE store SET format = 2",
        "UPDATE views SET version = 2 WHERE name = 'revocations'",
        "DELETE FROM views WHERE name = 'token_lookup'",
    ],
)
def test_a_store_of_another_release_is_refused(
    store: Store, database_url: str, change: str
) -> None:
    with intrude(database_url) as intruder:
        intruder.run(change)
    with pytest.raises(UnusableStore):
        open_store(store.storage, store.vault, "ES256")


def test_the_files_of_a_store_are_the_owner_s_alone(tmp_path: Path, vault: Vault) -> None:
    storage = SqliteStorage(tmp_path / "gatebook.db")
    open_store(storage, vault, "ES256")
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
    assert modes == dict.fromkeys(
        ("gatebook.db", "gatebook.db-wal", "gatebook.db-shm", "gatebook.db.lock"), 0o600
    )
    storage.close()


def pragmas(storage: SqliteStorage) -> list[object]:
    storage.prepare()
    with storage.transaction() as rows:
        names = ("journal_mode", "synchronous", "secure_delete")
        return [rows.fetch(f"PRAGMA {name}")[0][0] for name in names]


def test_sqlite_writes_through_to_the_disk(tmp_path: Path) -> None:
    """Security rule 23; the second storage is the control of the first."""
    full, normal = (
        SqliteStorage(tmp_path / f"{level}.db", synchronous=level) for level in ("FULL", "NORMAL")
    )
    assert pragmas(full) == ["wal", 2, 1]
    assert pragmas(normal) == ["wal", 1, 1]
    full.close()
    normal.close()


class Overruled(SqliteStorage):
    """Its connections keep `synchronous=NORMAL`, whatever they are asked for."""

    def _connect(self, mode: str) -> sqlite3.Connection:
        connection = super()._connect(mode)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.set_authorizer(
            lambda action, name, value, *_: (
                sqlite3.SQLITE_IGNORE
                if (action, name, value) == (sqlite3.SQLITE_PRAGMA, "synchronous", "FULL")
                else sqlite3.SQLITE_OK
            )
        )
        return connection


class WithoutSharedMemory(SqliteStorage):
    """On a file system on which there can be no WAL."""

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?mode={mode}&vfs=unix-none"
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


@pytest.mark.parametrize("storage", [Overruled, WithoutSharedMemory])
def test_a_file_that_can_t_be_kept_durable_is_refused(
    tmp_path: Path, vault: Vault, storage: type[SqliteStorage]
) -> None:
    """Security rule 23."""
    with pytest.raises(NotDurable, match=r"journal (wal|delete), synchronous [12]"):
        open_store(storage(tmp_path / "gatebook.db"), vault, "ES256")


def test_postgresql_that_answers_before_the_disk_is_refused(
    postgres_url: str, vault: Vault
) -> None:
    """Security rule 23."""
    with intrude(postgres_url) as intruder:
        ((name,),) = intruder.run("SELECT current_database()")
        intruder.run(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
        storage = storage_of(postgres_url)
        with pytest.raises(NotDurable, match="synchronous_commit=off"):
            open_store(storage, vault, "ES256")
        intruder.run(f'ALTER DATABASE "{name}" SET synchronous_commit = on')
        open_store(storage, vault, "ES256")
        storage.close()


def test_postgresql_without_fsync_is_refused(postgres: Postgres, vault: Vault) -> None:
    """Security rule 23; a database that answers as such a server does: one takes long to start."""
    url = postgres.create_database()
    with intrude(url) as intruder:
        ((name,),) = intruder.run("SELECT current_database()")
        intruder.run("CREATE SCHEMA shadow")
        intruder.run(
            "CREATE FUNCTION shadow.current_setting(name text) RETURNS text LANGUAGE sql AS "
            "$$ SELECT CASE name WHEN 'fsync' THEN 'off' "
            "ELSE pg_catalog.current_setting(name) END $$"
        )
        intruder.run(f'ALTER DATABASE "{name}" SET search_path = shadow, pg_catalog')
    with pytest.raises(NotDurable, match="fsync=off"):
        open_store(storage_of(url), vault, "ES256")
    postgres.discard_database(url)


def test_a_server_that_isn_t_there_is_lost(vault: Vault, tmp_path: Path) -> None:
    for url in (
        f"postgresql:///gatebook?host={tmp_path}",
        f"sqlite:///{tmp_path}/no/such/directory/gatebook.db",
    ):
        with pytest.raises(Lost):
            open_store(storage_of(url), vault, "ES256")


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_where_the_url_asks_for_tls_a_server_without_it_is_refused(
    postgres_url: str, vault: Vault, mode: str
) -> None:
    url = f"{postgres_url}?sslmode={mode}"
    with pytest.raises(Lost, match="SSL"):
        open_store(storage_of(url), vault, "ES256")
    with pytest.raises(Lost, match="SSL"):
        asyncio.run(reader_postgres.connect(url, 10))


def test_what_was_answered_is_there_after_opening_again(
    writer: Writer, store: Store, opened: OpenStore
) -> None:
    writer.commit([register("ada")])
    store.storage.close()
    with opened().storage.snapshot() as rows:
        assert rows.fetch("SELECT count(*) FROM user_directory_v1") == [(1,)]


def test_a_file_reached_by_two_names_has_one_lock(tmp_path: Path, vault: Vault) -> None:
    there = SqliteStorage(tmp_path / "gatebook.db")
    open_store(there, vault, "ES256")
    (tmp_path / "other.db").symlink_to(tmp_path / "gatebook.db")
    linked = SqliteStorage(tmp_path / "other.db")
    with linked.transaction():
        assert not (tmp_path / "other.db.lock").exists()
    there.close()
    linked.close()


def test_an_inline_view_that_missed_events_is_not_used(
    store: Store, writer: Writer, database_url: str, vault: Vault
) -> None:
    """A release that doesn't keep it has written beside one that does."""
    writer.commit([register("ada")])
    with store.storage.transaction() as rows:
        rows.execute("UPDATE views SET position = position - 1 WHERE name = 'token_lookup'")
        rows.commit()
    storage = storage_of(database_url)
    with pytest.raises(UnusableStore, match="gatebook projections rebuild token_lookup"):
        open_store(storage, vault, "ES256")
    storage.close()
