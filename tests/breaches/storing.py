"""Stores that are written to as they mustn't be: unlocked, undurable, in a hurry, unread."""

from __future__ import annotations

import sqlite3
import sys
import time
from typing import TYPE_CHECKING, Final

import msgspec

from app import writer
from app.eventstore import log, snapshot
from domain import events
from domain.aggregate import aggregate_of
from domain.catalogue import EVENTS, UnknownEvent
from projections.storage_sqlite import SqliteStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from app.bootstrap import Service
    from app.dispatcher import Future, Waiting
    from app.eventstore.record import Record
    from domain.user import User
    from projections.storage import Rows
    from tests.breaches import Breach


class UserRenamed(events.Event, frozen=True):
    """What only a newer release knows."""

    name = "user.renamed"


class Outdated(set[bytes]):
    """Names that were taken when they were looked up: what is taken since isn't added."""

    def add(self, element: bytes) -> None:
        del element


def _take_its_word(service: Service, value: str) -> None:
    """What PostgreSQL calls a COMMIT is one, whatever it warns of."""
    import psycopg  # noqa: PLC0415 - an extra

    del service, value
    psycopg.Connection.add_notice_handler = lambda *_: None  # type: ignore[method-assign]
    psycopg.Connection.remove_notice_handler = lambda *_: None  # type: ignore[method-assign]


def _trust_errors(service: Service, value: str) -> None:
    """A commit without an answer counts as one that did not happen."""
    del value
    service.store.log.holds = lambda record: False  # type: ignore[method-assign]


def _look_for_names_early(service: Service, seconds: str) -> None:
    """Names are as they were so many seconds before the lock, and no row is in another's way."""
    look, seen = writer._taken, dict[bytes, float]()

    def taken(rows: Rows, macs: list[bytes]) -> set[bytes]:
        now = time.monotonic()
        found = look(rows, macs)
        return Outdated(mac for mac in found if now - seen.setdefault(mac, now) > float(seconds))

    del service
    writer._taken = taken
    vars(writer)["RESERVE_NAME"] += " ON CONFLICT DO NOTHING"


def _answer_early(service: Service, seconds: str) -> None:
    """Whoever waits is answered so many seconds before what it waits for is written."""
    dispatcher = service.dispatcher
    waiting: dict[writer.Wish, Future] = {}
    serve, decide, write = dispatcher._serve, writer.Writer._decide, log.Append.write
    decided: list[tuple[Future, writer.Answer]] = []

    def serving(batch: list[Waiting]) -> None:
        waiting.update(batch)
        serve(batch)
        waiting.clear()

    def deciding(self: writer.Writer, draft: writer._Draft, wish: writer.Wish) -> writer.Answer:
        answer = decide(self, draft, wish)
        if wish in waiting:
            decided.append((waiting[wish], answer))
        return answer

    def writing(self: log.Append, records: Iterable[Record]) -> None:
        assert dispatcher._loop is not None
        dispatcher._loop.call_soon_threadsafe(dispatcher._deliver, 0, [*decided])
        decided.clear()
        time.sleep(float(seconds))
        write(self, records)

    dispatcher._serve = serving  # type: ignore[method-assign]
    writer.Writer._decide = deciding  # type: ignore[method-assign]
    log.Append.write = writing  # type: ignore[method-assign]


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


def _pass_over_snapshots(service: Service, value: str) -> None:
    """A history is read from its first event, however long it is."""
    del service, value
    vars(snapshot)["newest"] = find_no_snapshot


def find_no_snapshot(rows: Rows, keys: Mapping[str, bytes]) -> dict[str, User]:
    """In place of the newest ones: none."""
    del rows, keys
    return {}


def _fold_over(service: Service, value: str) -> None:
    """A command is decided as if events that this release doesn't know had changed nothing."""

    def folded(rows: Rows, states: dict[str, Any], broken: dict[str, Exception]) -> dict[str, Any]:
        newest = dict(states)
        for record in log.read_newer(rows, {name: each.version for name, each in states.items()}):
            state = newest[record.stream]
            try:
                state = aggregate_of(record.stream).evolve(state, record.recorded())
            except UnknownEvent:
                state = msgspec.structs.replace(state, version=record.version)
            newest[record.stream] = state
        return newest

    del service, value
    vars(writer)["advanced"] = folded


def _write_unlocked() -> None:
    """Whoever writes doesn't wait for the append lock of PostgreSQL."""
    from projections import storage_postgres  # noqa: PLC0415 - an extra

    vars(storage_postgres)["_LOCKED"] = f"BEGIN; {storage_postgres._CLOCK}"


def _leave_holders() -> None:
    """A holder of the append lock of PostgreSQL that says nothing is left in peace."""
    from projections import storage_postgres  # noqa: PLC0415 - an extra

    vars(storage_postgres)["_END_SILENT_HOLDER"] = "SELECT 1"


def _ask_no_durability() -> None:
    """A PostgreSQL is taken for one that waits for its disk."""
    from projections import storage_postgres  # noqa: PLC0415 - an extra

    vars(storage_postgres)["_SERVER"] = "SELECT pg_is_in_recovery(), 'on', 'on'"


def _know_more() -> None:
    """The process is one of a release that knows `user.renamed`: no breach."""
    EVENTS[UserRenamed.name] = UserRenamed


BREACHES: Final[Mapping[str, Breach]] = {
    "DEAF": _take_its_word,
    "TRUST_ERRORS": _trust_errors,
    "SYNCHRONOUS": _wait_less,
    "EARLY_NAMES": _look_for_names_early,
    "EARLY_ANSWER": _answer_early,
    "KEEP": _keep_connection,
    "NO_SNAPSHOTS": _pass_over_snapshots,
    "FOLD_OVER": _fold_over,
}
BEFORE: Final[Mapping[str, Callable[[], None]]] = {
    "UNLOCKED": _write_unlocked,
    "LEAVE_HOLDERS": _leave_holders,
    "UNDURABLE": _ask_no_durability,
    "NEWER": _know_more,
}
