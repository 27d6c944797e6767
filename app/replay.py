"""Replay of a user for people: every event of its stream in turn, and what each one changed.

Folds from the first event, whatever views and snapshots say, through the library's event store.
Shows no hash: of a secret only which event it came with. Knows no terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

import msgspec

from app.as_of import Moment, live_sessions, open_name, place_of
from app.eventstore.log import EventLog
from app.eventstore.recorders import LogReader
from app.timestamps import rfc3339
from app.user_stream import key_of, newer
from app.vault import Vault
from domain.aggregate import USER
from domain.catalogue import UnknownEvent
from domain.errors import Damage
from domain.events import UserErased, UserLoggedIn
from domain.policy import Policy
from domain.session_rules import is_live
from domain.stream import Recorded
from domain.user import Session, User

PAGE: Final = 1_000

_TIMES: Final = ("started_at", "expires_at", "last_used_at", "rotated_at")


class SessionState(msgspec.Struct, frozen=True):
    """A session that hasn't ended: `live` unless a limit is past, `expires_at` the absolute one.

    `generation` is the current refresh token's, since `rotated_at`; `used_generation` the last
    one whose use was recorded.
    """

    session_id: str
    kind: Literal["user", "service"]
    live: bool
    started_at: str
    last_used_at: str
    expires_at: str
    rotated_at: str
    generation: int
    used_generation: int


class StateItem(msgspec.Struct, frozen=True):
    """A user's state at a `time`: the members of a user, and what only its rules know.

    `secret_version` counts the secrets; `hash_version` is the version of the event that the hash
    came with, null without one.
    """

    user_key: str
    user_id: str | None
    status: str
    permissions: tuple[str, ...]
    registered_at: str | None
    last_login_at: str | None
    live_sessions: int
    position: int
    version: int
    time: str
    secret_version: int
    hash_version: int | None
    sessions: list[SessionState]


class Change(msgspec.Struct, frozen=True):
    """A member of the state before and after an event; `sessions.ID` is a whole session."""

    member: str
    before: object
    after: object


class Step(msgspec.Struct, frozen=True):
    """An event, and what it changed besides the version; null stands for what isn't there."""

    position: int
    version: int
    time: str
    type: str
    actor: str
    changes: list[Change]


class Then(msgspec.Struct, frozen=True):
    """A user, with what is known of when; times in µs."""

    user: User = User()
    position: int = 0
    registered_at: int | None = None
    last_login_at: int | None = None
    hash_version: int | None = None


class Passage(NamedTuple):
    """The state on both sides of an event."""

    before: Then
    recorded: Recorded
    after: Then


class Telling:
    """Tells of one user's state, and what changed it; `key` opens what is the person's."""

    def __init__(self, user_key: str, key: bytes | None, policy: Policy) -> None:
        self._user_key = user_key
        self._key = key
        self._policy = policy

    def state(self, then: Then, time: int) -> StateItem:
        """The state at a time (µs)."""
        user = then.user
        return StateItem(
            self._user_key,
            open_name(self._user_key, user.user_id, self._key),
            user.status,
            user.permissions,
            _told(then.registered_at),
            _told(then.last_login_at),
            live_sessions(user, self._policy, time),
            then.position,
            user.version,
            rfc3339(time),
            user.secret_version,
            then.hash_version,
            [
                SessionState(
                    session_id=session_id,
                    live=is_live(session, self._policy, time),
                    **_members(session),
                )
                for session_id, session in user.sessions.items()
            ],
        )

    def step(self, passage: Passage) -> Step:
        """What an event changed."""
        before, recorded, after = passage
        old, new = _alone(before), _alone(after)
        changes = [
            Change(name, self._shown(name, value), self._shown(name, new[name]))
            for name, value in old.items()
            if value != new[name] and (name != "user_id" or self._key is not None)
        ]
        return Step(
            recorded.position,
            recorded.version,
            rfc3339(recorded.time),
            recorded.event.name,
            recorded.meta.actor,
            [*changes, *_between(before.user.sessions, after.user.sessions)],
        )

    def _shown(self, name: str, value: object) -> object:
        """A member of the state, as it is told."""
        match value:
            case bytes():
                return open_name(self._user_key, value, self._key)
            case int() if name.endswith("_at"):
                return rfc3339(value)
            case _:
                return value


class Replay:
    """A user's stream up to a moment; `now` is in µs.

    Making one raises what `place_of` raises, and `Damage` for a missing key.
    """

    def __init__(
        self, log: EventLog, vault: Vault, policy: Policy, user_key: str, moment: Moment, now: int
    ) -> None:
        with log.storage.snapshot() as rows:
            self._place = place_of(rows, user_key, moment, now)
            key = key_of(rows, vault, user_key)
        self._telling = Telling(user_key, key, policy)
        self._events = LogReader(log).events
        self._user_key = user_key
        self._then = Then()

    @property
    def length(self) -> int:
        """How many events there are."""
        return self._place.version

    def read(self) -> Iterator[list[Passage]]:
        """Every event, in pages; afterwards there is the state.

        Raises `Damage` for what can't be read, `Unavailable` for an event of a newer release.
        """
        while (version := self._then.user.version) < self.length:
            stored: Iterator[Any] = self._events.get(
                self._user_key, gt=version, lte=self.length, limit=PAGE
            )
            try:
                passages = [self._passed(recorded) for recorded in stored]
            except UnknownEvent as error:
                raise newer(error) from error
            if self._then.user.version != version + len(passages) or not passages:
                msg = f"An event of {self._user_key} after version {version} is missing."
                raise Damage(msg)
            yield passages

    def state(self) -> StateItem:
        """What it has come to so far, at the time of the moment."""
        return self._telling.state(self._then, self._place.time)

    def step(self, passage: Passage) -> Step:
        """What an event changed."""
        return self._telling.step(passage)

    def _passed(self, recorded: Recorded) -> Passage:
        before = self._then
        self._then = evolved(before, recorded)
        return Passage(before, recorded, self._then)


def _alone(then: Then) -> dict[str, object]:
    """The members of the state that are no sessions."""
    user = then.user
    return {
        "status": user.status,
        "user_id": user.user_id,
        "permissions": user.permissions,
        "registered_at": then.registered_at,
        "last_login_at": then.last_login_at,
        "secret_version": user.secret_version,
        "hash_version": then.hash_version,
    }


def evolved(then: Then, recorded: Recorded) -> Then:
    """What it is after an event."""
    event = recorded.event
    hash_version = recorded.version if "secret_hash" in event.seals else then.hash_version
    return Then(
        USER.evolve(then.user, recorded),
        recorded.position,
        recorded.time if then.registered_at is None else then.registered_at,
        recorded.time if isinstance(event, UserLoggedIn) else then.last_login_at,
        None if isinstance(event, UserErased) else hash_version,
    )


def _between(before: dict[str, Session], after: dict[str, Session]) -> Iterator[Change]:
    """What became of sessions: begun and ended ones whole, others member by member."""
    for session_id in {**before, **after}:
        old, new = before.get(session_id), after.get(session_id)
        if old is new or old == new:
            continue
        name = f"sessions.{session_id}"
        if old is None or new is None:
            yield Change(name, old and _members(old), new and _members(new))
            continue
        news = _members(new)
        for member, value in _members(old).items():
            if value != news[member]:
                yield Change(f"{name}.{member}", value, news[member])


def _members(session: Session) -> dict[str, Any]:
    """A session's members as they are shown."""
    times = {name: rfc3339(getattr(session, name)) for name in _TIMES}
    return {
        "kind": "service" if session.service else "user",
        **times,
        "generation": session.generation,
        "used_generation": session.used_generation,
    }


def _told(time: int | None) -> str | None:
    return None if time is None else rfc3339(time)
