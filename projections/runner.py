"""Feed to batches to a view: what a following projection does, and what a rebuild shares with it.

Events are read and turned into statements outside of the append lock, and written under it
together with the position that they reach. An event that can't be applied stops a view there.
Knows no log: a `Feed` reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from domain.events import Event
from domain.stream import Recorded
from projections.live import Pointer, newest, read_live
from projections.naming import Names, renamed
from projections.projection import Projection
from projections.storage import Kind, Refused, Row, Rows, Statement, Storage, Value

SPAN: Final = 1_000
"""Positions that are read at a time."""

ADD_ERROR: Final = (
    "ALTER TABLE views ADD COLUMN error_position BIGINT",
    "ALTER TABLE views ADD COLUMN error_type TEXT",
    "ALTER TABLE views ADD COLUMN error_detail TEXT",
    "ALTER TABLE views ADD COLUMN stalled BIGINT NOT NULL DEFAULT 0",
)
_MOVE: Final = "UPDATE views SET position = ? WHERE name = ?"
SET_ERROR: Final = """
UPDATE views SET error_position = ?, error_type = ?, error_detail = ? WHERE name = ?"""
_STALL: Final = """
UPDATE views SET error_position = ?, error_type = ?, error_detail = ?, stalled = 1
WHERE name = ?"""
GO_ON: Final = """
UPDATE views SET error_position = NULL, error_type = NULL, error_detail = NULL, stalled = 0
WHERE name = ?"""
_STALLED: Final = (
    "SELECT error_position, error_type, error_detail FROM views WHERE name = ? AND stalled = 1"
)


class Failure(NamedTuple):
    """An event that can't be applied, and why."""

    position: int
    type: str
    detail: str


class Chunk(NamedTuple):
    """Wanted events in log order; all up to `reached` are there, which is before any failure."""

    recorded: Sequence[Recorded]
    reached: int
    failure: Failure | None = None


class Feed(Protocol):
    """The log as projections read it."""

    def after(self, rows: Rows, position: int, span: int, wants: frozenset[type[Event]]) -> Chunk:
        """Those wanted among so many positions after one."""

    def head(self, rows: Rows) -> int:
        """The last position."""


class Portion(NamedTuple):
    """What a chunk changes in a view, up to the first event that can't be applied."""

    statements: list[Statement]
    reached: int
    failure: Failure | None


class _Noted:
    """Statements instead of writes."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []

    @property
    def kind(self) -> Kind:
        raise TypeError(self.fetch("kind"))

    def execute(self, sql: str, params: Sequence[Value] = ()) -> None:
        self.statements.append((sql, params))

    def fetch(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        del params
        msg = f"a projection doesn't read: {sql}"
        raise TypeError(msg)

    def scan(self, sql: str, params: Sequence[Value] = ()) -> Iterator[list[Row]]:
        raise TypeError(self.fetch(sql, params))

    def has_table(self, name: str) -> bool:
        raise TypeError(self.fetch(name))


def portion(projection: Projection, chunk: Chunk) -> Portion:
    """What a chunk changes in a view."""
    noted = _Noted()
    try:
        projection.apply(noted, chunk.recorded)
    except Exception:  # noqa: BLE001 - whatever it is, one of the events is why
        return _up_to_failure(projection, chunk)
    return Portion(noted.statements, chunk.reached, chunk.failure)


def singly(projection: Projection, chunk: Chunk) -> Iterator[Portion]:
    """The same, event by event: a storage that refuses them together may take some."""
    for recorded in chunk.recorded:
        yield portion(projection, Chunk((recorded,), recorded.position))
    yield Portion([], chunk.reached, chunk.failure)


def write(rows: Rows, names: Names, statements: Sequence[Statement]) -> None:
    """Write what was noted, into these tables."""
    for sql, params in statements:
        rows.execute(renamed(sql, names), params)


def failure_of(recorded: Recorded, error: Exception) -> Failure:
    """Why an event can't be applied, for a person."""
    detail = f"{type(error).__name__}: {error}"
    return Failure(recorded.position, recorded.event.name, detail)


def read_stall(rows: Rows, name: str) -> Failure | None:
    """What stopped a following view."""
    found = rows.fetch(_STALLED, (name,))
    return Failure(*found[0]) if found else None  # type: ignore[arg-type]


class Follower:
    """Brings following views up to the head; any number of processes may do so at once."""

    def __init__(self, storage: Storage, feed: Feed, kept: Sequence[Projection]) -> None:
        self._storage = storage
        self._feed = feed
        self._kept = kept
        self._stopping = False
        self.names = tuple(each.name for each in newest(kept) if each.mode == "follow")

    def stop(self) -> None:
        """Let `catch_up` end after the events that are being applied; from any thread."""
        self._stopping = True

    def catch_up(self) -> dict[str, Failure]:
        """Bring each to the head; those that stopped, and where."""
        stopped = {}
        for name in self.names:
            while not self._stopping and self._step(name):
                pass
            with self._storage.snapshot() as rows:
                failure = read_stall(rows, name)
            if failure is not None:
                stopped[name] = failure
        return stopped

    def retry(self) -> list[str]:
        """Let those that stopped try again; their names."""
        with self._storage.transaction() as rows:
            stopped = [name for name in self.names if read_stall(rows, name) is not None]
            for name in stopped:
                rows.execute(GO_ON, (name,))
            rows.commit()
        return stopped

    def _step(self, name: str) -> bool:
        """Apply what comes next; whether there may be more."""
        with self._storage.snapshot() as rows:
            live = read_live(rows, self._kept)
            pointer = live.pointers[name]
            if read_stall(rows, name) is not None or pointer.position >= self._feed.head(rows):
                return False
            projection = next(each for each in live.projections if each.name == name)
            chunk = self._feed.after(rows, pointer.position, SPAN, projection.wants)
        try:
            return self._store(pointer, live.names, portion(projection, chunk))
        except Refused:
            return self._singly(pointer, live.names, projection, chunk)

    def _singly(self, pointer: Pointer, names: Names, projection: Projection, chunk: Chunk) -> bool:
        for number, each in enumerate(singly(projection, chunk)):
            try:
                going_on = self._store(pointer, names, each)
            except Refused as error:
                failure = failure_of(chunk.recorded[number], error)
                stopped = Portion([], failure.position - 1, failure)
                return self._store(pointer, names, stopped)
            if not going_on:
                return False
            pointer = pointer._replace(position=each.reached)
        return True

    def _store(self, pointer: Pointer, names: Names, what: Portion) -> bool:
        """Write it, unless somebody else did meanwhile; whether it didn't stop there."""
        with self._storage.transaction() as rows:
            if read_live(rows, self._kept).pointers[pointer.name] != pointer:
                return True
            write(rows, names, what.statements)
            rows.execute(_MOVE, (what.reached, pointer.name))
            if what.failure is not None:
                rows.execute(_STALL, (*what.failure, pointer.name))
            rows.commit()
        return what.failure is None


def _up_to_failure(projection: Projection, chunk: Chunk) -> Portion:
    noted = _Noted()
    for recorded in chunk.recorded:
        one = _Noted()
        try:
            projection.apply(one, (recorded,))
        except Exception as error:  # noqa: BLE001 - whatever it is, the view stops before it
            failure = failure_of(recorded, error)
            return Portion(noted.statements, failure.position - 1, failure)
        noted.statements += one.statements
    return Portion(noted.statements, chunk.reached, chunk.failure)
