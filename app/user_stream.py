"""One user's stream as it lies in the store: how long it is, when what was, and its events.

For whoever folds it up to one of them. Knows no moment, no HTTP and no terminal.
"""

from __future__ import annotations

from typing import Final

from app.eventstore import snapshot
from app.eventstore.log import COLUMNS, record_from
from app.eventstore.record import Record
from app.vault import PERSON, PERSON_KEYS, Vault, Wrapped
from domain.catalogue import UnknownEvent
from domain.errors import Damage, NotFound, Unavailable
from domain.events import UserErased, UserLoggedIn
from domain.stream import Recorded
from domain.user import User
from domain.user_key import is_user_key
from projections.storage import Rows, Value

_NEXT: Final = f"""
SELECT {COLUMNS} FROM events WHERE stream = ? AND version > ? AND version <= ?
ORDER BY version LIMIT ?"""  # noqa: S608
_LENGTH: Final = "SELECT max(version) FROM events WHERE stream = ?"
_POSITION: Final = "SELECT position FROM events WHERE stream = ? AND version = ?"
_TIME: Final = "SELECT time FROM events WHERE stream = ? AND version = ?"
_LAST: Final = """
SELECT time FROM events WHERE stream = ? AND topic = ? AND version <= ?
ORDER BY version DESC LIMIT 1"""
_FOR_EVER: Final = 2**62


def length_of(rows: Rows, user_key: str) -> int:
    """How many events there are; raises `NotFound` where there is none."""
    length = number(rows, _LENGTH, user_key) if is_user_key(user_key) else None
    if not length:
        msg = "There is no user of this key."
        raise NotFound(msg)
    return length


def position_at(rows: Rows, user_key: str, version: int) -> int:
    """Where the event of a version stands in the log; 0 for what isn't there."""
    return number(rows, _POSITION, user_key, version) or 0


def time_at(rows: Rows, user_key: str, version: int) -> int:
    """When it was, in µs."""
    return number(rows, _TIME, user_key, version) or 0


def last_login(rows: Rows, user_key: str, version: int) -> int | None:
    """When the last login up to a version was, in µs."""
    return number(rows, _LAST, user_key, UserLoggedIn.name, version)


def key_of(rows: Rows, vault: Vault, user_key: str) -> bytes | None:
    """What opens a person's values, None once erased; raises `Damage` when it is just not there."""
    for _, master_id, blob in rows.fetch(PERSON_KEYS % "?", (user_key,)):
        return vault.unwrap_user_key(user_key, PERSON, Wrapped.of(master_id, blob))
    if number(rows, _LAST, user_key, UserErased.name, _FOR_EVER) is not None:
        return None
    msg = f"The key of {user_key} is missing, and nobody erased it. Restore it from a copy."
    raise Damage(msg)


def kept_state(rows: Rows, vault: Vault, user_key: str, version: int) -> User:
    """The state to go on from on the way to a version: a snapshot, when it is of before that."""
    key = key_of(rows, vault, user_key)
    kept = snapshot.newest(rows, {user_key: key}) if key is not None else {}
    found = kept.get(user_key)
    return User() if found is None or found.version > version else found


def events_after(rows: Rows, user_key: str, after: int, last: int, limit: int) -> list[Recorded]:
    """The next events after a version, up to `last`, and at most `limit`.

    Raises `Damage` for one that is missing, and `Unavailable` for one of a newer release.
    """
    found = [
        recorded_in(record_from(row)) for row in rows.fetch(_NEXT, (user_key, after, last, limit))
    ]
    if not found or found[-1].version != after + len(found):
        msg = f"An event of {user_key} after version {after} is missing."
        raise Damage(msg)
    return found


def recorded_in(record: Record) -> Recorded:
    """The event of a row; raises `Damage`, and `Unavailable` when a newer release wrote it."""
    try:
        return record.recorded()
    except UnknownEvent as error:
        raise newer(error) from error


def newer(error: UnknownEvent) -> Unavailable:
    """What whoever meets an event of a newer release is told."""
    return Unavailable(f"A newer release wrote {error}, which this one can't read. Upgrade it.")


def number(rows: Rows, sql: str, *params: Value) -> int | None:
    """The one number that a statement finds; None for none, and for null."""
    found = rows.fetch(sql, params)
    return None if not found or found[0][0] is None else int(found[0][0])
