"""Users as the log has them: the witness's own fold, and the rule of who may do what, written out.

Knows the events, and neither the fold nor the rules by which the product decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from domain import events

if TYPE_CHECKING:
    from collections.abc import Collection

    from domain.stream import Recorded

ADMIN: Final = "admin"


class User(msgspec.Struct, frozen=True):
    """How a user stands. `sessions` are those without an end, and when each is over for good."""

    status: str = "unknown"
    secret_version: int = 0
    permissions: tuple[str, ...] = ()
    sessions: dict[str, int] = {}

    @property
    def administers(self) -> bool:
        return self.status == "active" and ADMIN in self.permissions

    def live(self, now: int) -> frozenset[str]:
        """The sessions that somebody has to end, if they are to be over now; µs."""
        return frozenset(each for each, expires_at in self.sessions.items() if now < expires_at)


def after(user: User, recorded: Recorded) -> User:
    """The user with one more event."""
    event, sessions = recorded.event, user.sessions
    changes: dict[str, object] = {}
    match event:
        case events.UserLoggedIn(session_id):
            changes = {"sessions": {**sessions, session_id: recorded.time}}
        case events.RefreshTokenIssued(session_id, expires_at):
            changes = {"sessions": {**sessions, session_id: expires_at}}
        case events.RefreshTokenRevoked(session_id):
            rest = {each: until for each, until in sessions.items() if each != session_id}
            changes = {"sessions": rest}
        case events.UserRegistered():
            changes = {"status": "active", "secret_version": 1}
        case events.UserSecretChanged():
            changes = {"secret_version": user.secret_version + 1}
        case events.UserPermissionsSet(permissions):
            changes = {"permissions": tuple(permissions)}
        case events.UserDisabled():
            changes = {"status": "disabled"}
        case events.UserEnabled():
            changes = {"status": "active"}
        case events.UserErased():
            changes = {"status": "erased", "permissions": ()}
        case _:
            pass
    return msgspec.structs.replace(user, **changes)


def allows(held: Collection[str], permission: str) -> bool:
    """Whether somebody with these may do it: who holds it, and who administers. Nobody else."""
    return permission in held or ADMIN in held
