"""Reading the log for people: stored events as items, opened where their keys are still there.

Knows no HTTP and no terminal. A page and the keys that open it are one moment of the store, and
a long log is read page by page: nothing here grows with it.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final, NamedTuple

import msgspec

from app.eventstore.log import COLUMNS, padded, read_head, record_from
from app.eventstore.record import Record
from app.timestamps import rfc3339
from app.vault import PERSON, PERSON_KEYS, Vault, Wrapped, open_sealed
from domain.catalogue import EVENTS, UnknownEvent
from domain.codec import ORIGIN
from domain.errors import Damage, Fault, GatebookError, InvalidRequest, Unavailable
from domain.events import Event, UserErased
from domain.sealed import sealed
from domain.stream import Origin, Recorded, is_user_stream, user_key_of
from projections.storage import Rows, Storage, Value

PAGE: Final = 500
"""Items of a page."""
SPAN: Final = 20_000
"""Positions that are looked through at a time for what is rare among them."""

_SELECT: Final = f"SELECT {COLUMNS} FROM events WHERE"  # noqa: S608
_TIME: Final = "SELECT time FROM events WHERE position = ?"
_LENGTH: Final = "SELECT max(version) FROM events WHERE stream = ?"
_POSITION: Final = "SELECT position FROM events WHERE stream = ? AND version = ?"
_ERASED: Final = "SELECT DISTINCT stream FROM events WHERE topic = ? AND stream IN (%s)"

_TIMES: Final = frozenset({"expires_at", "first_at", "last_at", "from", "published_until"})
_decode_origin = msgspec.json.Decoder(Origin).decode


class EventItem(msgspec.Struct, frozen=True):
    """An event as everybody outside sees it; what is sealed is null when nobody can open it."""

    position: int
    stream: str
    version: int
    time: str
    type: str
    schema: int
    user_key: str | None
    actor: str
    request_id: str
    ip: str | None
    user_agent: str | None
    erased: bool
    data: dict[str, object]


class Wanted(msgspec.Struct, frozen=True):
    """Which events: those of a user's stream, of a type, with `since` <= time < `until` (µs)."""

    user_key: str | None = None
    type: str | None = None
    since: int | None = None
    until: int | None = None


class Readers(msgspec.Struct, frozen=True):
    """What opens a page: data keys by user_key, and those persons who were erased."""

    keys: Mapping[str, bytes]
    erased: frozenset[str]

    def key(self, user_key: str) -> bytes | None:
        """The person's key, None once erased; raises `Damage` when it is just not there."""
        if user_key in self.erased:
            return None
        if user_key not in self.keys:
            msg = f"The key of {user_key} is missing, and nobody erased it. Restore it from a copy."
            raise Damage(msg)
        return self.keys[user_key]


class Page(msgspec.Struct, frozen=True):
    """Items in the order that was asked for, and up to which position the log was looked through.

    `failure` is why the event after the last item can't be shown. Newest first, `reached` is the
    position before those that were looked through.
    """

    items: list[EventItem]
    reached: int
    failure: GatebookError | None


class _Entry(NamedTuple):
    """A row with what it holds, and the persons whose keys it needs."""

    record: Record
    recorded: Recorded
    people: list[str]


def check_type(name: str) -> str:
    """The name of an event that there is; raises `InvalidRequest` with the nearest ones."""
    if name in EVENTS:
        return name
    near = difflib.get_close_matches(name, EVENTS, n=3, cutoff=0.3) or sorted(EVENTS)
    why = f"There is no such event. Perhaps: {', '.join(near)}."
    msg = "The type is not acceptable."
    raise InvalidRequest(msg, (Fault("/type", why),))


def events(
    storage: Storage, vault: Vault, wanted: Wanted, *, page: int = PAGE
) -> Iterator[list[EventItem]]:
    """The events that are in the log now, oldest first, in pages.

    Raises `Damage` for what can't be read though nobody erased it, `Unavailable` for an event
    of a newer release; what comes before it has been given then.
    """
    with storage.snapshot() as rows:
        after, last = places(rows, wanted)
    while after < last:
        with storage.snapshot() as rows:
            found = read_page(rows, vault, wanted, after, last, page)
        if found.items:
            yield found.items
        if found.failure is not None:
            raise found.failure
        after = found.reached


def places(rows: Rows, wanted: Wanted) -> tuple[int, int]:
    """After which position the wanted times begin, and up to which they go.

    Positions are dense and times never go back, so both are found by bisection.
    """
    head = read_head(rows).position

    def before(moment: int) -> int:
        return bisect_left(range(1, head + 1), moment, key=lambda at: _number(rows, _TIME, at))

    after = 0 if wanted.since is None else before(wanted.since)
    return after, head if wanted.until is None else before(wanted.until)


def read_page(
    rows: Rows,
    vault: Vault,
    wanted: Wanted,
    after: int,
    last: int,
    limit: int,
    *,
    back: bool = False,
) -> Page:
    """The first `limit` wanted events after a position, up to `last`; perhaps fewer.

    In log order, or newest first. Go on with what was not looked through: after `reached`, or
    newest first up to it.
    """
    user_key = wanted.user_key
    begin, end = after, last
    if user_key is not None:
        begin, end = _passed(rows, user_key, after), _passed(rows, user_key, last)
    # A type has no index: one that is rare must not keep a read open for long.
    part = range(begin + 1, end + 1)[-SPAN:] if back else range(begin + 1, end + 1)[:SPAN]
    numbers = part[::-1] if back else part
    records, failure = _records(rows, wanted, numbers, limit)
    items, unreadable = _items(rows, vault, records)
    if len(records) == limit:
        edge = records[-1].position - (1 if back else 0)
    elif len(part) >= end - begin:
        edge = after if back else last
    else:
        edge = part[0] - 1 if back else part[-1]
        edge = edge if user_key is None else _number(rows, _POSITION, user_key, edge)
    return Page(items, edge, unreadable or failure)


def _records(
    rows: Rows, wanted: Wanted, numbers: range, limit: int
) -> tuple[list[Record], Damage | None]:
    """The wanted rows of these positions or versions, up to one that is missing, if one is."""
    if not numbers:
        return [], None
    in_stream = wanted.user_key is not None
    number = "version" if in_stream else "position"
    params: list[Value] = [min(numbers[0], numbers[-1]), max(numbers[0], numbers[-1])]
    sql = f"{_SELECT} {number} BETWEEN ? AND ?"
    for column, value in (("stream", wanted.user_key), ("topic", wanted.type)):
        if value is not None:
            sql += f" AND {column} = ?"
            params.append(value)
    sql += f" ORDER BY {number}{' DESC' if numbers.step < 0 else ''} LIMIT ?"
    found = [record_from(each) for each in rows.fetch(sql, (*params, limit))]
    if wanted.type is None:
        for place, expected in enumerate(numbers[:limit]):
            if place == len(found) or getattr(found[place], number) != expected:
                return found[:place], _missing(
                    f"{number} {expected} of {wanted.user_key or 'the log'}"
                )
    return found, None


def _passed(rows: Rows, user_key: str, position: int) -> int:
    """How many of a user's events there are up to a position."""
    length = _number(rows, _LENGTH, user_key)
    if not length or _number(rows, _POSITION, user_key, length) <= position:
        return length
    versions = range(1, length)
    return bisect_right(versions, position, key=lambda v: _number(rows, _POSITION, user_key, v))


def _items(
    rows: Rows, vault: Vault, records: list[Record]
) -> tuple[list[EventItem], GatebookError | None]:
    """What these rows say, up to the first that can't be shown, and why that one can't."""
    entries, failure = _entries(records)
    readers = _readers(rows, vault, entries)
    items: list[EventItem] = []
    try:
        for entry in entries:
            items.append(_described(entry, readers))  # noqa: PERF401 - those before a fault stay
    except Damage as error:
        failure = error
    return items, failure


def _entries(records: list[Record]) -> tuple[list[_Entry], GatebookError | None]:
    """The rows that can be read, up to the first that can't, and why that one can't."""
    entries: list[_Entry] = []
    for record in records:
        try:
            recorded = record.recorded()
        except UnknownEvent as error:
            msg = f"A newer release wrote {error}, which this one can't read. Upgrade it."
            return entries, Unavailable(msg)
        except Damage as error:
            return entries, error
        stream = record.stream if is_user_stream(record.stream) else None
        people = dict.fromkeys((stream, user_key_of(recorded.meta.actor)))
        entries.append(_Entry(record, recorded, [each for each in people if each is not None]))
    return entries, None


def _readers(rows: Rows, vault: Vault, entries: list[_Entry]) -> Readers:
    """The keys of everybody whom these rows are of or by, of the same moment."""
    people = list(dict.fromkeys(each for entry in entries for each in entry.people))
    if not people:
        return Readers({}, frozenset())
    wanted = padded(people, "")
    keys = {}
    for user_key, master_id, blob in rows.fetch(PERSON_KEYS % _marks(wanted), wanted):
        if isinstance(blob, bytes):
            wrapped = Wrapped(str(master_id), blob)
            keys[str(user_key)] = vault.unwrap_user_key(str(user_key), PERSON, wrapped)
    without = padded([each for each in people if each not in keys], "")
    erased = rows.fetch(_ERASED % _marks(without), (UserErased.name, *without)) if without else []
    return Readers(keys, frozenset(str(stream) for (stream,) in erased))


def _described(entry: _Entry, readers: Readers) -> EventItem:
    record, meta = entry.record, entry.recorded.meta
    erased = [readers.key(each) is None for each in entry.people]
    origin = Origin()
    if meta.origin is not None:
        owner = user_key_of(meta.actor) or record.stream
        text = _opened(record, sealed(meta.origin), ORIGIN, readers, owner)
        origin = origin if text is None else _decode_origin(text)
    return EventItem(
        record.position,
        record.stream,
        record.version,
        rfc3339(record.time),
        record.topic,
        record.schema,
        record.stream if is_user_stream(record.stream) else None,
        meta.actor,
        meta.request_id,
        origin.ip,
        origin.user_agent,
        any(erased),
        _data(record, entry.recorded.event, readers),
    )


def _data(record: Record, event: Event, readers: Readers) -> dict[str, object]:
    """The members as the log names them; a credential's hash is left out."""
    data: dict[str, object] = {}
    for attribute, name in _members(type(event)):
        value = getattr(event, attribute)
        match event.seals.get(attribute):
            case "person":
                data[name] = _opened(record, sealed(value), attribute, readers, record.stream)
            case None:
                data[name] = rfc3339(value) if name in _TIMES else value
    return data


@cache
def _members(event: type[Event]) -> tuple[tuple[str, str], ...]:
    return tuple((field.name, field.encode_name) for field in msgspec.structs.fields(event))


def _opened(record: Record, blob: bytes, field: str, readers: Readers, owner: str) -> str | None:
    key = readers.key(owner)
    if key is None:
        return None
    return open_sealed(key, blob, record.stream, field, at=(record.topic, record.version))


def _number(rows: Rows, sql: str, *params: Value) -> int:
    found = rows.fetch(sql, params)
    if not found:
        raise _missing(" of ".join(map(str, reversed(params))))
    return int(found[0][0] or 0)


def _missing(what: str) -> Damage:
    return Damage(f"An event is missing: {what}. The log was changed; restore it from a copy.")


def _marks(params: list[str]) -> str:
    return ", ".join("?" * len(params))
