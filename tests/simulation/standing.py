"""How users stand, by the log and by what is kept beside it: whether a change is whole.

A change is made by whoever asked for it and was allowed to, and takes with it all that goes with
it. Knows the rules as they are written, and no client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.vault import name_mac
from domain import events
from domain.stream import CLI, user_key_of
from domain.user_id import prepare
from tests.simulation.users import User, allows
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.vault import Ring
    from domain.stream import Recorded
    from projections.storage import Rows

WRITE: Final = "users:write"
_CHANGES: Final = (
    events.UserSecretChanged,
    events.UserPermissionsSet,
    events.UserDisabled,
    events.UserEnabled,
    events.UserErased,
)
_ENDED_BY: Final = {
    "secret_changed": events.UserSecretChanged.name,
    "disabled": events.UserDisabled.name,
    "erased": events.UserErased.name,
}
_DIRECTORY: Final = """
SELECT status, permissions, secret_version, user_id IS NULL, secret_hash IS NULL
FROM user_directory_v1 WHERE user_key = ?"""
_LEFT: Final = """
SELECT (SELECT count(*) FROM user_keys WHERE user_key = :key AND version >= 0)
  + (SELECT count(*) FROM snapshots WHERE stream = :key)
  + (SELECT count(*) FROM known_networks WHERE user_key = :key)"""
_NAMES: Final = "SELECT count(*) FROM user_ids WHERE user_key = ?"
_HOLDER: Final = "SELECT user_key FROM user_ids WHERE name_mac = ?"


class Standing:
    """Belongs to a witness, whose `users` these are."""

    def __init__(self, users: Mapping[str, User], ring: Ring) -> None:
        self.asked: set[tuple[str, str, str]] = set()
        """Who has asked for which change of whom: an actor, an event's name, a user_key."""
        self.changed_at: dict[str, int] = {}
        """The position of the last change of each user, or of its registration."""
        self._users = users
        self._ring = ring
        self._outlived: dict[str, set[str]] = {}
        """The sessions that there were when a secret was changed, and no end of them yet."""
        self._administered = False

    def took(self, recorded: Recorded, before: User) -> bool:
        """Whether an event changes how its user stands, who was `before` it so."""
        event, stream = recorded.event, recorded.stream
        outlived = self._outlived.setdefault(stream, set())
        if isinstance(event, events.RefreshTokenRevoked):
            outlived.discard(event.session_id)
            if event.why in _ENDED_BY:
                self._check_asked(recorded, _ENDED_BY[event.why])
            return False
        if isinstance(event, events.UserRegistered):
            self.changed_at[stream] = recorded.position
            return True
        if not isinstance(event, _CHANGES):
            return False
        self.changed_at[stream] = recorded.position
        self._check_asked(recorded, event.name)
        if isinstance(event, events.UserSecretChanged):
            outlived.update(before.live(recorded.time))
        return True

    def _check_asked(self, recorded: Recorded, change: str) -> None:
        actor, stream = recorded.meta.actor, recorded.stream
        if (actor, change, stream) not in self.asked:
            raise Violation("actor", f"{recorded.event.name} is said to be asked for by {actor}")
        who = user_key_of(actor)
        own = isinstance(recorded.event, events.UserSecretChanged | events.UserErased)
        if actor == CLI or (who == stream and (own or change != recorded.event.name)):
            return
        asking = self._users.get(who or "", User())
        if asking.status != "active" or not allows(asking.permissions, WRITE):
            what = f"{recorded.event.name} by who is {asking.status}, may {asking.permissions}"
            raise Violation("permission", what)
        if isinstance(recorded.event, events.UserPermissionsSet):
            had = self._users[stream].permissions
            given = [each for each in recorded.event.permissions if each not in had]
            if not all(allows(asking.permissions, each) for each in given):
                raise Violation("permission", f"{given} by who has {asking.permissions}")

    def compare(self, rows: Rows, user_key: str, now: int) -> None:
        """What is kept of a user beside the log, in µs of which it is now; raises `Violation`."""
        user = self._users[user_key]
        if user.status != "active" and (left := user.live(now)):
            raise Violation("half", f"{user.status}, with {len(left)} sessions")
        # That of who asks may go on.
        if len(self._outlived.pop(user_key, ())) > 1:
            raise Violation("half", "a secret was changed, and several sessions go on")
        (row,) = rows.fetch(_DIRECTORY, (user_key,))
        gone = int(user.status == "erased")
        wanted = (user.status, " ".join(user.permissions), user.secret_version, gone, gone)
        if row != wanted:
            raise Violation("view", f"a user is {row}, not {wanted}")
        ((names,),) = rows.fetch(_NAMES, (user_key,))
        if names != 1 - gone:
            raise Violation("name", f"{user.status}, with {names} names")
        ((rest,),) = rows.fetch(_LEFT.replace(":key", "?"), (user_key,) * 3)
        if gone and rest:
            raise Violation("readable", f"of who is erased {rest} rows are left")
        self._check_administered()

    def _check_administered(self) -> None:
        administered = any(user.administers for user in self._users.values())
        if self._administered and not administered:
            raise Violation("nobody administers", "there is no enabled administrator any more")
        self._administered = administered

    def holder(self, rows: Rows, name: str) -> str:
        """Who has a name; the empty text when nobody has."""
        found = rows.fetch(_HOLDER, (name_mac(self._ring, prepare(name)),))
        return str(found[0][0]) if found else ""

    def another_administrator(self, user_key: str) -> bool:
        """Whether somebody else administers, too."""
        others = (user for key, user in self._users.items() if key != user_key)
        return any(user.administers for user in others)
