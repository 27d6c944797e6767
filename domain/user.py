"""The user: what its events add up to.

Bounded: at most `Policy.session_cap` sessions that haven't ended are left by a login, which lets go
those that are over by every clock. Holds personal values as the sealed blobs that the events hold.
Knows no rule: `domain.decider` decides.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from domain import events
from domain.policy import CLOCK_TOLERANCE
from domain.sealed import sealed
from domain.stream import Recorded

Status = Literal["unknown", "active", "disabled", "erased"]


FOLD: Final = 2
"""Which fold this is: another one when `evolve` comes to another state from the same events."""


class Session(msgspec.Struct, frozen=True):
    """A session that hasn't ended; times in µs.

    `generation` is the current refresh token's, since `rotated_at`; `used_generation` the last
    one whose use was recorded. The last recorded use, a rotation and a repeat included, was at
    `last_used_at`.
    """

    started_at: int
    expires_at: int
    last_used_at: int
    rotated_at: int
    service: bool = False
    generation: int = 1
    used_generation: int = 0


class User(msgspec.Struct, frozen=True):
    """The state of one user's stream at `version`; `unknown` before the first event."""

    version: int = 0
    status: Status = "unknown"
    user_id: bytes = b""
    secret_hash: bytes = b""
    secret_version: int = 0
    permissions: tuple[str, ...] = ()
    sessions: dict[str, Session] = {}


def evolve(user: User, recorded: Recorded) -> User:
    """The user after one more event of its stream."""
    return msgspec.structs.replace(
        user, version=recorded.version, **_changes(user, recorded, recorded.event)
    )


def may_be_live(session: Session, now: int) -> bool:
    """Whether some process's clock may show that the absolute limit is still to come.

    Such a session is held, since whoever ends it has to end it there too.
    """
    return now < session.expires_at + CLOCK_TOLERANCE


def _changes(user: User, recorded: Recorded, event: events.Event) -> dict[str, object]:  # noqa: C901, PLR0912 - one case an event
    match event:
        case events.UserLoggedIn(session_id, by):
            return {
                "sessions": _start(
                    user, session_id, recorded.time, service=by == "client_credentials"
                )
            }
        case events.RefreshTokenIssued(session_id, expires_at):
            return _session(user, session_id, expires_at=expires_at)
        case events.RefreshTokenUsed(session_id, generation):
            return _session(
                user, session_id, last_used_at=recorded.time, used_generation=generation
            )
        case events.RefreshTokenRotated(session_id, generation):
            return _session(
                user,
                session_id,
                generation=generation,
                rotated_at=recorded.time,
                last_used_at=recorded.time,
                used_generation=generation - 1,
            )
        case events.RefreshTokenRepeated(session_id):
            return _session(user, session_id, last_used_at=recorded.time)
        case events.RefreshTokenRevoked(session_id):
            rest = {key: value for key, value in user.sessions.items() if key != session_id}
            return {"sessions": rest}
        case events.UserRegistered(user_id, secret_hash):
            return {
                "status": "active",
                "user_id": sealed(user_id),
                "secret_hash": sealed(secret_hash),
                "secret_version": 1,
            }
        case events.UserSecretChanged(secret_hash):
            return {
                "secret_hash": sealed(secret_hash),
                "secret_version": user.secret_version + 1,
            }
        case events.UserSecretRehashed(secret_hash):
            return {"secret_hash": sealed(secret_hash)}
        case events.UserPermissionsSet(permissions):
            return {"permissions": permissions}
        case events.UserDisabled():
            return {"status": "disabled"}
        case events.UserEnabled():
            return {"status": "active"}
        case events.UserErased():
            return {
                "status": "erased",
                "user_id": b"",
                "secret_hash": b"",
                "permissions": (),
                "sessions": {},
            }
        case _:
            return {}


def _start(user: User, session_id: str, now: int, *, service: bool) -> dict[str, Session]:
    sessions = {key: value for key, value in user.sessions.items() if may_be_live(value, now)}
    sessions[session_id] = Session(now, now, now, now, service=service)
    return sessions


def _session(user: User, session_id: str, **changes: object) -> dict[str, object]:
    session = user.sessions.get(session_id)
    if session is None:
        return {}
    changed = msgspec.structs.replace(session, **changes)
    return {"sessions": {**user.sessions, session_id: changed}}
