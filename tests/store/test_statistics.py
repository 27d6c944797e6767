"""Filling a PostgreSQL database reads what it needs, however much there is in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from app.archive.importing import restore
from app.store import storage_of
from projections.storage import NoTable
from tests.benchmarks import population
from tests.store.archiving import back_up_to, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from projections.storage import Storage
    from tests.store.conftest import OpenStore

PEOPLE: Final = 1_500
"""Enough for an index to be worth its while."""

PASSES: Final = 20
"""So often a table may be read as a whole: while it is small, that is the shortest way."""

TABLES: Final = ("events", "revocations_v1", "token_lookup_v1")
READ: Final = f"""
SELECT relname::text, seq_tup_read, n_tup_ins FROM pg_stat_user_tables
WHERE relname IN {TABLES}"""


@pytest.fixture
def elsewhere(postgres_url: str) -> Iterator[Storage]:
    storage = storage_of(postgres_url)
    yield storage
    storage.close()


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """Of a store in which everybody has a session."""
    url = f"sqlite:///{tmp_path}/people.db"
    population.populate(url, PEOPLE)
    store = population.opened(url)
    path = back_up_to(tmp_path / "backup", store)
    store.storage.close()
    return path


def test_a_restore_reads_no_table_again_and_again(backup: Path, elsewhere: Storage) -> None:
    restored = restore(place_of(elsewhere), backup, (), lambda _: None).restored
    assert restored is not None
    assert restored.sessions > PEOPLE
    with elsewhere.transaction() as rows:
        rows.fetch("SELECT pg_stat_force_next_flush()")
    with elsewhere.snapshot() as rows:
        assert len(rows.fetch(READ)) == len(TABLES)
        assert rows.fetch(f"{READ} AND seq_tup_read > {PASSES} * n_tup_ins") == []


def test_the_planner_knows_what_a_transaction_has_written(
    postgres_url: str, opened: OpenStore
) -> None:
    storage = opened(postgres_url).storage
    with storage.transaction() as rows:
        rows.define("CREATE TABLE numbers (number BIGINT PRIMARY KEY, half BIGINT)")
        rows.execute("INSERT INTO numbers SELECT n, n / 2 FROM generate_series(1, 1000) n")
        known = "SELECT reltuples::bigint FROM pg_class WHERE relname = 'numbers'"
        assert rows.fetch(known) == [(-1,)]
        rows.analyze(["numbers", "events"])
        assert rows.fetch(known) == [(1000,)]
    with storage.transaction() as rows, pytest.raises(NoTable):
        rows.analyze(["nowhere"])


def test_nothing_of_it_stays_in_a_file(sqlite_url: str, opened: OpenStore) -> None:
    storage = opened(sqlite_url).storage
    with storage.transaction() as rows:
        rows.analyze(["events"])
        assert not rows.has_table("sqlite_stat1")
