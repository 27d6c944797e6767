"""The views' tables on each kind of storage, made for one test and rolled back."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from projections import rebuild_state, runner
from projections.live import ADD_BUILD, CREATE_POINTERS, POINT, newest
from projections.registry import PROJECTIONS
from projections.storage_postgres import PostgresStorage
from projections.storage_sqlite import SqliteStorage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.storage import Storage, Transaction


POINTERS = (
    CREATE_POINTERS,
    ADD_BUILD,
    *rebuild_state.ADD_DIGEST,
    *runner.ADD_ERROR,
    rebuild_state.CREATE_REBUILDS,
    rebuild_state.CREATE_BUILDS,
)
"""What stands beside the views themselves."""


@contextmanager
def empty_views(storage: Storage) -> Iterator[Transaction]:
    """A transaction with the tables of every view in it, and nothing in them."""
    with storage.transaction() as rows:
        for statement in POINTERS:
            rows.define(statement)
        for projection in PROJECTIONS:
            for table in projection.tables:
                rows.define(table)
        for projection in newest(PROJECTIONS):
            rows.execute(POINT, (projection.name, projection.version))
        yield rows


@pytest.fixture
def sqlite_storage(tmp_path: Path) -> Iterator[Storage]:
    storage = SqliteStorage(tmp_path / "views.db")
    storage.prepare()
    yield storage
    storage.close()


@pytest.fixture
def postgres_storage(postgres_url: str) -> Iterator[Storage]:
    storage = PostgresStorage(postgres_url)
    yield storage
    storage.close()


@pytest.fixture(params=["sqlite", "postgres"])
def rows(request: pytest.FixtureRequest) -> Iterator[Transaction]:
    storage: Storage = request.getfixturevalue(f"{request.param}_storage")
    with empty_views(storage) as transaction:
        yield transaction
