"""A user on both sides of one of its events: what was so before, what after, and what changed.

Folds up to there, in parts when the stream is long, from a snapshot where one is of before that.
Knows no HTTP and no terminal.
"""

from __future__ import annotations

from typing import Final

import msgspec

from app.as_of import PAGE
from app.audit import EventItem, Wanted, read_page
from app.reading import Reading
from app.replay import Change, Passage, StateItem, Telling, Then, evolved
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
from app.vault import Vault
from domain.aggregate import USER
from domain.catalogue import EVENTS
from domain.errors import Fault, InvalidRequest
from domain.policy import Policy
from domain.stream import Recorded
from domain.user import User
from projections.storage import Rows

_HASHED: Final = tuple(sorted(name for name, cls in EVENTS.items() if "secret_hash" in cls.seals))
_HASH: Final = f"""
SELECT max(version) FROM events WHERE stream = ? AND version <= ?
AND topic IN ({", ".join("?" * len(_HASHED))})"""  # noqa: S608


class Turn(msgspec.Struct, frozen=True):
    """The event that is the `version`th of `length`; `before` is None for the first one."""

    version: int
    length: int
    event: EventItem
    before: StateItem | None
    after: StateItem
    changes: list[Change]


class Turns:
    """Belongs to the event loop."""

    def __init__(self, reading: Reading, vault: Vault, policy: Policy) -> None:
        self._reading = reading
        self._vault = vault
        self._policy = policy

    async def turn(self, user_key: str, version: int | None) -> Turn:
        """A user at its event of this version, the last one if none is given.

        Raises `NotFound` for who isn't there, `InvalidRequest` for a version that isn't.
        """
        turning = Turning(self._vault, self._policy, user_key, version)
        while (found := await self._reading.read(turning.read)) is None:
            pass
        return found


class Turning:
    """One user on its way to one event. For one thread at a time."""

    def __init__(self, vault: Vault, policy: Policy, user_key: str, version: int | None) -> None:
        self._vault = vault
        self._policy = policy
        self._user_key = user_key
        self._wanted = version
        self._version = 0
        self._user = User()

    def read(self, rows: Rows) -> Turn | None:
        """Fold a page more; the turn once it is there, else None."""
        if not self._version:
            self._version = self._placed(rows)
            self._user = kept_state(rows, self._vault, self._user_key, self._version - 1)
        if self._user.version < self._version - 1:
            before = self._user.version
            found = events_after(rows, self._user_key, before, self._version - 1, PAGE)
            self._user = USER.fold(found, self._user)
        if self._user.version < self._version - 1:
            return None
        (recorded,) = events_after(rows, self._user_key, self._version - 1, self._version, 1)
        return self._turned(rows, recorded)

    def _placed(self, rows: Rows) -> int:
        length = length_of(rows, self._user_key)
        version = length if self._wanted is None else self._wanted
        if not 1 <= version <= length:
            raise InvalidRequest.of(Fault("/version", f"This user has events 1 to {length}."))
        return version

    def _turned(self, rows: Rows, recorded: Recorded) -> Turn:
        version, key = self._version, key_of(rows, self._vault, self._user_key)
        telling = Telling(self._user_key, key, self._policy)
        before = self._then(rows, version - 1) if version > 1 else Then()
        after = evolved(before, recorded)
        position, wanted = recorded.position, Wanted(self._user_key)
        found = read_page(rows, self._vault, wanted, position - 1, position, 1)
        if found.failure is not None:
            raise found.failure
        return Turn(
            version,
            length_of(rows, self._user_key),
            found.items[0],
            telling.state(before, recorded.time) if version > 1 else None,
            telling.state(after, recorded.time),
            telling.step(Passage(before, recorded, after)).changes,
        )

    def _then(self, rows: Rows, version: int) -> Then:
        user_key = self._user_key
        hashed = number(rows, _HASH, user_key, version, *_HASHED)
        return Then(
            self._user,
            position_at(rows, user_key, version),
            time_at(rows, user_key, 1),
            last_login(rows, user_key, version),
            None if self._user.status == "erased" else hashed,
        )
