"""A user as of a moment: its stream folded up to there.

What happened stays so: a page read later fits the pages before it, so a long stream is read in
parts. Who was erased since reads as erased, and all else as it was. Knows no HTTP and no
terminal.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from app.administration import UserItem
from app.eventstore.log import Head, read_head
from app.timestamps import rfc3339
from app.user_stream import (
    events_after,
    kept_state,
    key_of,
    last_login,
    length_of,
    number,
    position_at,
    time_at,
)
from app.vault import Vault, open_sealed
from domain.aggregate import USER
from domain.errors import Fault, InvalidRequest, LogChanged, NotFound
from domain.policy import Policy
from domain.session_rules import is_live
from domain.user import User
from projections.storage import Rows

PAGE: Final = 2_000
"""Events that are folded at a time: some tens of milliseconds."""

_TIME_IN_LOG: Final = "SELECT time FROM events WHERE position = ?"


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
    length = length_of(rows, user_key)
    head = read_head(rows)
    if moment.position is not None:
        position = _reached(moment.position, head)
        version = _passed(rows, user_key, position_at, length, position)
        time = number(rows, _TIME_IN_LOG, position) or 0
    else:
        # Times of events may be ahead of this machine's clock.
        time = _come(moment.at, max(now, head.time))
        version = _passed(rows, user_key, time_at, length, time)
    if not version:
        msg = "This user was not registered yet then."
        raise NotFound(msg)
    return Place(version, position_at(rows, user_key, version), time)


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
            version = self._place.version
            self._user = kept_state(rows, self._vault, self._user_key, version)
        place, before = self._place, self._user.version
        if before < place.version:
            found = events_after(rows, self._user_key, before, place.version, PAGE)
            self._user = USER.fold(found, self._user)
        return self._item(rows, place) if self._user.version == place.version else None

    def _item(self, rows: Rows, place: Place) -> UserItem:
        user, user_key = self._user, self._user_key
        login = last_login(rows, user_key, place.version)
        return UserItem(
            user_key,
            # The key is of the same moment as what tells whether somebody erased it.
            open_name(user_key, user.user_id, key_of(rows, self._vault, user_key)),
            user.status,
            user.permissions,
            rfc3339(time_at(rows, user_key, 1)),
            None if login is None else rfc3339(login),
            live_sessions(user, self._policy, place.time),
            place.position,
        )


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


def _passed(
    rows: Rows, user_key: str, of: Callable[[Rows, str, int], int], length: int, bound: int
) -> int:
    """How many of a user's events there were up to a position or a time: both only grow."""
    versions = range(1, length + 1)
    return bisect_right(versions, bound, key=lambda each: of(rows, user_key, each))
