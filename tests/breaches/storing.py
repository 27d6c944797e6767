"""Stores that are written to as they mustn't be: unlocked, undurable, in a hurry."""

from __future__ import annotations

import sqlite3
import sys
from typing import TYPE_CHECKING, Final

from domain import events
from domain.catalogue import EVENTS
from projections.storage_sqlite import SqliteStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.bootstrap import Service
    from tests.breaches import Breach


class UserRenamed(events.Event, frozen=True):
    """What only a newer release knows."""

    name = "user.renamed"


def _trust_errors(service: Service, value: str) -> None:
    """A commit without an answer counts as one that did not happen."""
    del value
    service.store.log.holds = lambda record: False  # type: ignore[method-assign]


def _wait_less(service: Service, level: str) -> None:
    """How SQLite waits for the disk, as `NORMAL`: not at every commit."""
    storage = service.store.storage
    assert isinstance(storage, SqliteStorage)
    storage._synchronous = level
    storage.discard()


def _keep_connection(service: Service, value: str) -> None:
    """A connection to SQLite that can't begin to write is kept, whatever the reason."""
    storage = service.store.storage
    assert isinstance(storage, SqliteStorage)
    drop = storage._drop_writer

    def dropping() -> None:
        if not isinstance(sys.exc_info()[1], sqlite3.Error):
            drop()

    del value
    storage._drop_writer = dropping  # type: ignore[method-assign]


def _write_unlocked() -> None:
    """Whoever writes doesn't wait for the append lock of PostgreSQL."""
    from projections import storage_postgres  # noqa: PLC0415 - an extra

    vars(storage_postgres)["_LOCKED"] = f"BEGIN; {storage_postgres._CLOCK}"


def _ask_no_durability() -> None:
    """A PostgreSQL is taken for one that waits for its disk."""
    from projections import storage_postgres  # noqa: PLC0415 - an extra

    vars(storage_postgres)["_SERVER"] = "SELECT pg_is_in_recovery(), 'on', 'on'"


def _know_more() -> None:
    """The process is one of a release that knows `user.renamed`: no breach."""
    EVENTS[UserRenamed.name] = UserRenamed


BREACHES: Final[Mapping[str, Breach]] = {
    "TRUST_ERRORS": _trust_errors,
    "SYNCHRONOUS": _wait_less,
    "KEEP": _keep_connection,
}
BEFORE: Final[Mapping[str, Callable[[], None]]] = {
    "UNLOCKED": _write_unlocked,
    "UNDURABLE": _ask_no_durability,
    "NEWER": _know_more,
}
