"""The `eventsourcing` library's own tests of recorders, on ours."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from eventsourcing.tests import persistence

from app.eventstore import schema
from app.eventstore.log import EventLog
from app.eventstore.recorders import EventRecorder, SnapshotRecorder
from app.store import storage_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from projections.storage import Storage


def bare_log(storage: Storage) -> EventLog:
    """A log before its first event: the library counts positions from there."""
    storage.prepare()
    with storage.transaction() as rows:
        for statement in schema.tables(storage.kind):
            rows.define(statement)
        rows.execute("INSERT INTO store VALUES (1, 1, 'a log', 1)")
        rows.commit()
    return EventLog(storage, bytes(32))


class OnSqlite:
    """Gives `log` on a new file."""

    log: EventLog

    @pytest.fixture(autouse=True)
    def _open(self, tmp_path: Path) -> Iterator[None]:
        storage = storage_of(f"sqlite:///{tmp_path}/gatebook.db")
        self.log = bare_log(storage)
        yield
        storage.close()

    def new_originator_id(self) -> str:
        return str(uuid.uuid4())


class OnPostgres:
    """Gives `log` in a new database."""

    log: EventLog

    @pytest.fixture(autouse=True)
    def _open(self, postgres_url: str) -> Iterator[None]:
        storage = storage_of(postgres_url)
        self.log = bare_log(storage)
        yield
        storage.close()

    def new_originator_id(self) -> str:
        return str(uuid.uuid4())


class TestEventsOnSqlite(OnSqlite, persistence.ApplicationRecorderTestCase[EventRecorder]):
    def create_recorder(self) -> EventRecorder:
        return EventRecorder(self.log)


class TestEventsOnPostgres(OnPostgres, persistence.ApplicationRecorderTestCase[EventRecorder]):
    def create_recorder(self) -> EventRecorder:
        return EventRecorder(self.log)


class TestSnapshotsOnSqlite(OnSqlite, persistence.AggregateRecorderTestCase):
    def create_recorder(self) -> SnapshotRecorder:
        return SnapshotRecorder(self.log)


class TestSnapshotsOnPostgres(OnPostgres, persistence.AggregateRecorderTestCase):
    def create_recorder(self) -> SnapshotRecorder:
        return SnapshotRecorder(self.log)
