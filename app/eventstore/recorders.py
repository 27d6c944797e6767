"""Our log behind the `eventsourcing` library's own interfaces, for reading.

Replay to any version goes through its `Application`; the service itself writes and reads
through `app.eventstore.log`. Stored topics are our short names: the library's own resolution of
a topic by importing it is never used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    IntegrityError,
    Mapper,
    Notification,
    StoredEvent,
    Subscription,
)
from eventsourcing.utils import Environment

from app.eventstore.log import COLUMNS, EventLog
from app.eventstore.record import Record, record_of
from app.eventstore.snapshot import write_snapshot
from projections.storage import Refused, Row

_MAX: Final = 2**62


@dataclass(frozen=True)
class LogRow(Notification):
    """A row of the log in the library's terms; `state` is the clear part."""

    schema: int = 1
    time: int = 0
    sealed: bytes | None = None


class EventRecorder(ApplicationRecorder):
    """The log's rows; inserts take the append lock, number and chain."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """Append in one transaction; the positions given. Raises `IntegrityError`."""
        del kwargs
        if not stored_events:
            return None
        try:
            with self._log.append() as append:
                now = append.now()
                records = [
                    _record(event, append.head.position + place, now)
                    for place, event in enumerate(stored_events, 1)
                ]
                append.write(records)
                append.rows.commit()
        except Refused as error:
            raise IntegrityError(str(error)) from error
        return [record.position for record in records]

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Rows of one stream."""
        found = _select(self._log, "events", COLUMNS, originator_id, gt, lte, limit, desc=desc)
        return [_row(Record(*row)) for row in found]  # type: ignore[arg-type]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Rows of the log by position."""
        first = 1 if start is None else start if inclusive_of_start else start + 1
        last = _MAX if stop is None else stop
        among = f"AND topic IN ({', '.join('?' * len(topics))})" if topics else ""
        sql = (
            f"SELECT {COLUMNS} FROM events WHERE position BETWEEN ? AND ? {among} "  # noqa: S608
            "ORDER BY position LIMIT ?"
        )
        with self._log.storage.snapshot() as rows:
            found = rows.fetch(sql, (first, last, *topics, limit))
        return [_row(Record(*row)) for row in found]  # type: ignore[arg-type]

    def max_notification_id(self) -> int | None:
        """The head's position, None for an empty log."""
        with self._log.storage.snapshot() as rows:
            found = rows.fetch("SELECT max(position) FROM events")
        return found[0][0]  # type: ignore[return-value]

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        """Not through the library: following projections have a feed of their own."""
        del gt, topics
        msg = "follow the log through the feed of projections"
        raise TypeError(msg)


class SnapshotRecorder(AggregateRecorder):
    """Stored states, in the library's terms."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        """Keep states; raises `IntegrityError` for one that is there."""
        del kwargs
        try:
            with self._log.storage.transaction() as rows:
                for event in stored_events:
                    write_snapshot(
                        rows,
                        str(event.originator_id),
                        event.originator_version,
                        event.topic,
                        event.state,
                    )
                rows.commit()
        except Refused as error:
            raise IntegrityError(str(error)) from error

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """States of one stream."""
        columns = "stream, version, topic, state"
        found = _select(self._log, "snapshots", columns, originator_id, gt, lte, limit, desc=desc)
        return [StoredEvent(*row) for row in found]  # type: ignore[arg-type]


class RecordedMapper(Mapper[str]):
    """`Recorded` to row and back, by the closed catalogue."""

    def __init__(self) -> None:
        """No transcoder: `domain.codec` does it."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """The row of a recorded event."""
        return _row(record_of(domain_event))

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """The recorded event of a row."""
        if not isinstance(stored_event, LogRow):
            msg = "only rows of the log are events"
            raise TypeError(msg)
        return _record(stored_event, stored_event.id, stored_event.time).recorded()


class _Factory(InfrastructureFactory):
    def __init__(self, env: Environment, log: EventLog) -> None:
        super().__init__(env)
        self._log = log

    def application_recorder(self) -> ApplicationRecorder:
        return EventRecorder(self._log)

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        del purpose
        return SnapshotRecorder(self._log)

    def tracking_recorder(self, tracking_recorder_class: Any = None) -> NoReturn:
        raise TypeError(tracking_recorder_class)

    def process_recorder(self) -> NoReturn:
        raise TypeError


class LogReader(Application[str]):
    """The library's application over our log: `repository.get` and `notification_log`."""

    name = "gatebook"

    def __init__(self, log: EventLog) -> None:
        self._log = log
        super().__init__({})

    def construct_env(self, name: str, env: Any = None) -> Environment:
        """Nothing of the process's environment."""
        return Environment(name, env)

    def construct_factory(self, env: Environment) -> _Factory:
        """Our recorders."""
        return _Factory(env, self._log)

    def construct_mapper(self) -> RecordedMapper:
        """Our mapper."""
        return RecordedMapper()


def _select(
    log: EventLog,
    table: str,
    columns: str,
    stream: UUID | str,
    gt: int | None,
    lte: int | None,
    limit: int | None,
    *,
    desc: bool,
) -> list[Row]:
    sql = (
        f"SELECT {columns} FROM {table} WHERE stream = ? AND version > ? AND version <= ? "  # noqa: S608
        f"ORDER BY version {'DESC' if desc else 'ASC'} LIMIT ?"
    )
    params = (
        str(stream),
        -1 if gt is None else gt,
        _MAX if lte is None else lte,
        _MAX if limit is None else limit,
    )
    with log.storage.snapshot() as rows:
        return rows.fetch(sql, params)


def _row(record: Record) -> LogRow:
    return LogRow(
        originator_id=record.stream,
        originator_version=record.version,
        topic=record.topic,
        state=record.clear,
        id=record.position,
        schema=record.schema,
        time=record.time,
        sealed=record.sealed,
    )


def _record(event: StoredEvent, position: int, time: int) -> Record:
    known = isinstance(event, LogRow)
    return Record(
        position,
        str(event.originator_id),
        event.originator_version,
        event.topic,
        event.schema if known else 1,  # type: ignore[attr-defined]
        time,
        event.state,
        event.sealed if known else None,  # type: ignore[attr-defined]
    )
