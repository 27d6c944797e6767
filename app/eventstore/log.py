"""The log as a writer and a reader see it: head, append, streams from a version on.

Appends happen inside a storage transaction that holds the append lock, so positions are dense
and in commit order, and times never go back. Knows no rule: `app.writer` decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeVar

from app.eventstore.record import GENESIS, Record
from domain.errors import Damage
from projections.storage import Ended, Kind, Row, Rows, Storage, Transaction, pieces

T = TypeVar("T")

COLUMNS: Final = "position, stream, version, topic, schema, time, clear, sealed"
"""Of a record, in the order of its fields."""
HEAD: Final = """
SELECT s.log_id, e.position, e.time, e.chain, k.chain, s.generation
FROM store s LEFT JOIN events e ON e.position = (SELECT max(position) FROM events)
LEFT JOIN events k ON k.position = ?"""
"""The head, and the chain at the position of the one that is known; for `head_of`."""
INSERT: Final = f"""
INSERT INTO events ({COLUMNS}, chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""  # noqa: S608
_ANOTHER: Final = ", (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_STREAM: Final = f"""
SELECT {COLUMNS} FROM events WHERE stream = ? AND version > ? ORDER BY version"""  # noqa: S608
_PROVED: Final = f"""
SELECT {", ".join("e." + each for each in COLUMNS.split(", "))}, e.chain, p.chain
FROM events e LEFT JOIN events p ON p.position = e.position - 1
WHERE e.stream = ? ORDER BY e.version"""  # noqa: S608
_RANGE: Final = f"""
SELECT {COLUMNS} FROM events WHERE position > ? ORDER BY position LIMIT ?"""  # noqa: S608
EVERYTHING: Final = f"SELECT {COLUMNS}, chain FROM events ORDER BY position"  # noqa: S608
"""The whole log, for a scan."""
LENGTH: Final = "SELECT coalesce(max(position), 0) FROM events"
"""The head's position."""
COUNTS: Final = """
SELECT topic, count(*) FROM events WHERE position > ? AND position <= ? GROUP BY topic"""
"""How many events of each type there are after a position up to another."""
_ONE: Final = f"SELECT {COLUMNS} FROM events WHERE stream = ? AND version = ?"  # noqa: S608
_EACH: Final[Mapping[Kind, str]] = {
    "sqlite": "CROSS JOIN events e WHERE e.stream = w.stream AND e.version > w.version",
    "postgresql": """CROSS JOIN LATERAL (
SELECT * FROM events WHERE stream = w.stream AND version > w.version OFFSET 0) e""",
}
"""From each stream to its events, on SQLite by CROSS, on PostgreSQL by OFFSET: left to themselves
both read all of the log when the streams are many."""
_NEWER: Final = f"""
WITH wanted (stream, version) AS (VALUES %s)
SELECT {", ".join("e." + each for each in COLUMNS.split(", "))} FROM wanted w
%s ORDER BY e.position"""  # noqa: S608
_PAIR: Final = "(CAST(? AS TEXT), CAST(? AS BIGINT))"


class Head(NamedTuple):
    """Where the log ends. `time` in µs; position 0 before the first event."""

    generation: int
    log_id: str
    position: int
    time: int
    chain: bytes


class Replaced(Exception):
    """The log doesn't hold what was read of it: it was restored, or a server that is behind serves.

    Whatever is remembered of it may be of events that aren't there any more.
    """


class Append:
    """One write transaction on the log, at its head."""

    def __init__(self, rows: Transaction, head: Head, chain_key: bytes) -> None:
        self.rows = rows
        self.head = head
        self._chain_key = chain_key

    def now(self) -> int:
        """The store's time in µs, after that of the last event."""
        return max(self.rows.clock(), self.head.time + 1)

    def write(self, records: Iterable[Record]) -> None:
        """Append rows whose positions follow the head, chaining each to the one before."""
        chain = self.head.chain
        last = None
        written: list[Row] = []
        for record in records:
            chain = record.chained(self._chain_key, chain)
            written.append((*record, chain))
            last = record
        for piece in pieces(written):
            together = INSERT + _ANOTHER * (len(piece) - 1)
            self.rows.execute(together, [each for row in piece for each in row])
        if last is not None:
            self.head = Head(
                self.head.generation, self.head.log_id, last.position, last.time, chain
            )


class EventLog:
    """The log in a storage; `chain_key` is the ring's `log` key."""

    def __init__(self, storage: Storage, chain_key: bytes) -> None:
        self.storage = storage
        self._chain_key = chain_key

    @contextmanager
    def append(self, known: Head | None = None) -> Iterator[Append]:
        """A write transaction under the append lock, at the newest head, which follows `known`.

        Raises `Replaced` when it doesn't.
        """
        with self.storage.transaction() as rows:
            yield Append(rows, read_head(rows, known), self._chain_key)

    def read_proved(self, rows: Rows, stream: str) -> list[Record]:
        """A stream's events, each proved to be ours by its chain; raises `Damage`."""
        proved = []
        for *columns, chain, before in rows.fetch(_PROVED, (stream,)):
            record = record_from(columns)
            link = before if isinstance(before, bytes) else GENESIS
            if chain != record.chained(self._chain_key, link):
                msg = f"The event at position {record.position} was not written by this service."
                raise Damage(msg)
            proved.append(record)
        return proved

    def holds(self, record: Record) -> bool | None:
        """Whether exactly this record is stored, asked under the append lock.

        Then every transaction sent before has either happened or never will. What is stored is
        where a commit has to be: on the standby too, where there is a synchronous one. None: the
        process is about to stop, and nobody will know.
        """
        try:
            return self._holds(record)
        except Ended:
            return None

    def _holds(self, record: Record) -> bool:
        self.storage.discard()
        with self.storage.transaction() as rows:
            found = rows.fetch(_ONE, (record.stream, record.version))
            head = read_head(rows)
        if not found or record_from(found[0]) != record:
            return False
        confirm(self.storage, [head])
        return True


def read_head(rows: Rows, known: Head | None = None) -> Head:
    """The head of the log as these rows see it; raises `Replaced` when `known` isn't in the log.

    A chain is of all that came before it: one that is as it was says that all of it is.
    """
    found = rows.fetch(HEAD, (known.position if known else 0,))
    if not found:
        msg = "The store has lost its own row."
        raise Damage(msg)
    return head_of(found[0], known)


def head_of(row: Row, known: Head | None = None) -> Head:
    """The head from a row of `HEAD`; raises `Replaced` when `known` isn't in the log."""
    log_id, position, time, chain, then, generation = row
    head = Head(
        int(generation or 0),
        str(log_id),
        int(position or 0),
        int(time or 0),
        chain if isinstance(chain, bytes) else GENESIS,
    )
    if known is not None and known.position and then != known.chain:
        msg = f"position {known.position} is not what it was, and the log ends at {head.position}"
        raise Replaced(msg)
    return head


def confirm(storage: Storage, heads: Iterable[Head]) -> None:
    """Wait until the log up to these heads, which were read, is wherever a commit has to be.

    Raises `Replaced` when one of them isn't in the log that would be confirmed: of two servers the
    one that took over may lack it. Raises what the storage raises.
    """
    storage.confirm(lambda rows: [read_head(rows, head) for head in heads])


def read_newer(rows: Rows, versions: Mapping[str, int]) -> list[Record]:
    """The events of these streams after these versions, in log order, in one query."""
    wanted = padded(list(versions.items()), ("", 0))
    sql = _NEWER % (", ".join([_PAIR] * len(wanted)), _EACH[rows.kind])
    return [record_from(row) for row in rows.fetch(sql, [each for pair in wanted for each in pair])]


def padded(items: list[T], filler: T) -> list[T]:
    """Filled up to a power of two, so that few different statements are prepared."""
    return items + [filler] * ((1 << max(0, (len(items) - 1).bit_length())) - len(items))


def read_stream(rows: Rows, stream: str, after: int = 0) -> list[Record]:
    """A stream's events after a version."""
    return [record_from(row) for row in rows.fetch(_STREAM, (stream, after))]


def read_range(rows: Rows, after: int, limit: int) -> list[Record]:
    """At most `limit` events after a position, in log order."""
    return [record_from(row) for row in rows.fetch(_RANGE, (after, limit))]


def record_from(row: Row | Sequence[object]) -> Record:
    """A row of the log as the storage gives it."""
    return Record._make(row)
