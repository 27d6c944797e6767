"""A user as of a moment: its stream folded up to there.

What happened stays so: a page read later fits the pages before it, so a long stream is read in
parts. Who was erased since reads as erased, and all else as it was. Knows no HTTP and no
terminal.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, NamedTuple

import msgspec

from app.administration import UserItem
from app.eventstore import snapshot
from app.eventstore.log import COLUMNS, Head, read_head, record_from
from app.eventstore.record import Record
from app.timestamps import rfc3339
from app.vault import PERSON, PERSON_KEYS, Vault, Wrapped, open_sealed
from domain.aggregate import USER
from domain.catalogue import UnknownEvent
from domain.errors import Damage, Fault, InvalidRequest, LogChanged, NotFound, Unavailable
from domain.events import UserErased, UserLoggedIn
from domain.policy import Policy
from domain.session_rules import is_live
from domain.stream import Recorded
from domain.user import User
from domain.user_key import is_user_key
from projections.storage import Rows, Value

PAGE: Final = 2_000
"""Events that are folded at a time: some tens of milliseconds."""

_NEXT: Final = f"""
SELECT {COLUMNS} FROM events WHERE stream = ? AND version > ? AND version <= ?
ORDER BY version LIMIT ?"""  # noqa: S608
_LENGTH: Final = "SELECT max(version) FROM events WHERE stream = ?"
_POSITION: Final = "SELECT position FROM events WHERE stream = ? AND version = ?"
_TIME: Final = "SELECT time FROM events WHERE stream = ? AND version = ?"
_TIME_IN_LOG: Final = "SELECT time FROM events WHERE position = ?"
_LAST: Final = """
SELECT time FROM events WHERE stream = ? AND topic = ? AND version <= ?
ORDER BY version DESC LIMIT 1"""
_FOR_EVER: Final = 2**62


class Moment(msgspec.Struct, frozen=True):
    """A time (µs), or a position in the log; with neither it is now."""

    at: int | None = None
    position: int | None = None


class Place(NamedTuple):
    """How far a stream had come: its last version and that one's position; `time` is in µs."""

    version: int
    position: int
    time: int


def place_of(rows: Rows, user_key: str, moment: Moment, now: int) -> Place:
    """Where a user's stream was; `now` is in µs.

    Raises `NotFound` for who wasn't registered yet, `LogChanged` for a position beyond the head,
    `InvalidRequest` for a time that hasn't come.
    """
    length = _number(rows, _LENGTH, user_key) if is_user_key(user_key) else 0
    if not length:
        msg = "There is no user of this key."
        raise NotFound(msg)
    head = read_head(rows)
    if moment.position is not None:
        position = _reached(moment.position, head)
        version = _passed(rows, user_key, _POSITION, length, position)
        time = _number(rows, _TIME_IN_LOG, position)
    else:
        # Times of events may be ahead of this machine's clock.
        time = _come(moment.at, max(now, head.time))
        version = _passed(rows, user_key, _TIME, length, time)
    if not version:
        msg = "This user was not registered yet then."
        raise NotFound(msg)
    return Place(version, _number(rows, _POSITION, user_key, version), time)


def key_of(rows: Rows, vault: Vault, user_key: str) -> bytes | None:
    """What opens a person's values, None once erased; raises `Damage` when it is just not there."""
    for _, master_id, blob in rows.fetch(PERSON_KEYS % "?", (user_key,)):
        return vault.unwrap_user_key(user_key, PERSON, Wrapped.of(master_id, blob))
    if rows.fetch(_LAST, (user_key, UserErased.name, _FOR_EVER)):
        return None
    msg = f"The key of {user_key} is missing, and nobody erased it. Restore it from a copy."
    raise Damage(msg)


def open_name(user_key: str, blob: bytes, key: bytes | None) -> str | None:
    """The name as typed; None once erased."""
    return open_sealed(key, blob, user_key, "user_id") if key is not None and blob else None


def live_sessions(user: User, policy: Policy, time: int) -> int:
    """How many sessions a user had at a time."""
    return sum(is_live(session, policy, time) for session in user.sessions.values())


class AsOf:
    """Users as they were, by the policy as it is now."""

    def __init__(self, vault: Vault, policy: Policy) -> None:
        self._vault = vault
        self._policy = policy

    def user(self, user_key: str, moment: Moment, now: int) -> Folding:
        """What finds a user as of a moment; `now` is in µs."""
        return Folding(self._vault, self._policy, user_key, moment, now)


class Folding:
    """One user on its way to one moment. For one thread at a time."""

    def __init__(
        self, vault: Vault, policy: Policy, user_key: str, moment: Moment, now: int
    ) -> None:
        self._vault = vault
        self._policy = policy
        self._user_key = user_key
        self._moment = moment
        self._now = now
        self._place: Place | None = None
        self._user = User()

    def read(self, rows: Rows) -> UserItem | None:
        """Fold a page more; the user once it is there, else None.

        Raises what `place_of` raises, `Damage` for what can't be read, and `Unavailable` for an
        event of a newer release.
        """
        if self._place is None:
            self._place = place_of(rows, self._user_key, self._moment, self._now)
            self._user = self._begin(rows, self._place)
        place, before = self._place, self._user.version
        if before < place.version:
            found = rows.fetch(_NEXT, (self._user_key, before, place.version, PAGE))
            self._user = USER.fold((recorded_in(record_from(row)) for row in found), self._user)
            if self._user.version != before + len(found) or not found:
                msg = f"An event of {self._user_key} after version {before} is missing."
                raise Damage(msg)
        return self._item(rows, place) if self._user.version == place.version else None

    def _begin(self, rows: Rows, place: Place) -> User:
        """The state to go on from: a snapshot, when it is of before that."""
        key = key_of(rows, self._vault, self._user_key)
        kept = snapshot.newest(rows, {self._user_key: key}) if key is not None else {}
        found = kept.get(self._user_key)
        return User() if found is None or found.version > place.version else found

    def _item(self, rows: Rows, place: Place) -> UserItem:
        user, user_key = self._user, self._user_key
        login = rows.fetch(_LAST, (user_key, UserLoggedIn.name, place.version))
        return UserItem(
            user_key,
            # The key is of the same moment as what tells whether somebody erased it.
            open_name(user_key, user.user_id, key_of(rows, self._vault, user_key)),
            user.status,
            user.permissions,
            rfc3339(_number(rows, _TIME, user_key, 1)),
            rfc3339(int(login[0][0] or 0)) if login else None,
            live_sessions(user, self._policy, place.time),
            place.position,
        )


def recorded_in(record: Record) -> Recorded:
    """The event of a row; raises `Damage`, and `Unavailable` when a newer release wrote it."""
    try:
        return record.recorded()
    except UnknownEvent as error:
        raise newer(error) from error


def newer(error: UnknownEvent) -> Unavailable:
    """What whoever meets an event of a newer release is told."""
    return Unavailable(f"A newer release wrote {error}, which this one can't read. Upgrade it.")


def _reached(position: int, head: Head) -> int:
    if position > head.position:
        msg = f"The log ends at position {head.position}. Is this one of another log?"
        raise LogChanged(msg)
    return position


def _come(at: int | None, now: int) -> int:
    if at is None:
        return now
    if at > now:
        raise InvalidRequest.of(Fault("/at", "This time hasn't come yet."))
    return at


def _passed(rows: Rows, user_key: str, sql: str, length: int, bound: int) -> int:
    """How many of a user's events there were up to a position or a time: both only grow."""
    versions = range(1, length + 1)
    return bisect_right(versions, bound, key=lambda each: _number(rows, sql, user_key, each))


def _number(rows: Rows, sql: str, *params: Value) -> int:
    found = rows.fetch(sql, params)
    return int(found[0][0] or 0) if found else 0
