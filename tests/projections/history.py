"""Histories for views: made by hand, or at random by hypothesis. Blobs stand for sealed values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from hypothesis import strategies as st

from domain import events
from domain.stream import SIGNING_KEYS, Meta, Recorded
from projections.live import newest
from projections.naming import base_of
from projections.registry import PROJECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from projections.projection import Projection
    from projections.storage import Row, Rows

DAY: Final = 86_400_000_000
START: Final = 1_800_000_000_000_000

TABLES: Final = {
    each.name: f"SELECT * FROM {base_of(each.name, each.version)} ORDER BY 1"
    for each in newest(PROJECTIONS)
}
"""Whole rows of each view, in the order of their keys."""


class History:
    """Events one after another, each in its place."""

    def __init__(self) -> None:
        self.recorded: list[Recorded] = []
        self._versions: dict[str, int] = {}
        self._now = START
        self._position = 0

    def then(
        self, stream: str, event: events.Event, *, origin: bytes | None = None, after: int = 1
    ) -> Recorded:
        """The next event of the log, `after` µs after the one before."""
        self._now += after
        self._position += 1
        version = self._versions[stream] = self._versions.get(stream, 0) + 1
        meta = Meta("system", "0", origin)
        recorded = Recorded(stream, version, self._position, self._now, meta, event)
        self.recorded.append(recorded)
        return recorded


def fill(rows: Rows, projection: Projection, history: Sequence[Recorded], size: int = 0) -> None:
    """Apply a history in batches of a size; of 0, all at once."""
    wanted = [each for each in history if type(each.event) in projection.wants]
    for first in range(0, len(wanted), size or len(wanted) or 1):
        projection.apply(rows, wanted[first : first + (size or len(wanted))])


def whole(rows: Rows, name: str) -> list[Row]:
    """Every row of a view."""
    return rows.fetch(TABLES[name])


_blobs = st.binary(min_size=1, max_size=8)
_users = st.sampled_from(["uk_a", "uk_b", "uk_c"])
_steps = st.sampled_from([0, 1, 60_000_000, DAY, 16 * DAY, 40 * DAY])
_generations = st.integers(1, 2**31)


def _about_users(user: str) -> dict[str, Callable[[st.DrawFn], events.Event]]:
    del user
    return {
        "secret": lambda draw: events.UserSecretChanged(draw(_blobs)),
        "rehash": lambda draw: events.UserSecretRehashed(draw(_blobs)),
        "permit": lambda draw: events.UserPermissionsSet(
            tuple(draw(st.lists(st.sampled_from("abc"), unique=True)))
        ),
        "disable": lambda draw: events.UserDisabled(),
        "enable": lambda draw: events.UserEnabled(),
        "erase": lambda draw: events.UserErased(),
        "fail": lambda draw: events.UserLoginFailed(1, 2, 3),
    }


def _about_sessions(session: str) -> dict[str, Callable[[st.DrawFn], events.Event]]:
    return {
        "use": lambda draw: events.RefreshTokenUsed(session, draw(_generations)),
        "rotate": lambda draw: events.RefreshTokenRotated(session, draw(_generations)),
        "repeat": lambda draw: events.RefreshTokenRepeated(session, 1),
        "reuse": lambda draw: events.RefreshTokenReuseDetected(session, 1),
        "revoke": lambda draw: events.RefreshTokenRevoked(
            session, draw(st.sampled_from(get_args(events.RevokedWhy)))
        ),
    }


@st.composite
def histories(draw: st.DrawFn) -> list[Recorded]:
    """Logs of a few users and keys, in which everything may follow what it needs."""
    history = History()
    sessions: dict[str, str] = {}
    registered: set[str] = set()
    for number in range(draw(st.integers(0, 30))):
        user, after = draw(_users), draw(_steps)
        origin = draw(st.none() | _blobs)
        if user not in registered:
            registered.add(user)
            event: events.Event = events.UserRegistered(draw(_blobs), draw(_blobs))
            history.then(user, event, origin=origin, after=after)
            continue
        kind = draw(st.sampled_from(["log in", "session", "session", "user", "key"]))
        if kind == "log in":
            session = f"session{number}"
            sessions[session] = user
            by = draw(st.sampled_from(get_args(events.LoggedInBy)))
            login = history.then(user, events.UserLoggedIn(session, by), origin=origin, after=after)
            limit = draw(st.sampled_from([DAY, 365 * DAY]))
            history.then(user, events.RefreshTokenIssued(session, login.time + limit), after=0)
        elif kind == "session" and sessions:
            session = draw(st.sampled_from(sorted(sessions)))
            made = draw(st.sampled_from(sorted(_about_sessions(session))))
            event = _about_sessions(session)[made](draw)
            history.then(sessions[session], event, origin=origin, after=after)
        elif kind == "key":
            history.then(SIGNING_KEYS, events.SigningKeyWithdrawn(f"kid{number}"), after=after)
        else:
            made = draw(st.sampled_from(sorted(_about_users(user))))
            history.then(user, _about_users(user)[made](draw), origin=origin, after=after)
    return history.recorded
