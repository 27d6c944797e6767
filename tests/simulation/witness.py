"""Who reads the log after each commit: whether it is whole, and the views are what it adds up to.

Folds each stream by itself, and compares what that comes to with the row that a look-up finds: not
by the rules' own `evolve`, by whose mistakes it would be misled as the rules are. Knows no client,
and nothing that a process keeps in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from app.eventstore.log import COLUMNS, record_from
from app.eventstore.record import GENESIS
from domain import events
from domain.stream import is_user_stream
from projections.storage_sqlite import SqliteStorage
from projections.token_lookup import LOOK_UP, TokenRow
from tests.simulation.standing import Standing
from tests.simulation.users import User, after
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable
    from pathlib import Path

    from app.vault import Ring
    from domain.policy import Policy
    from domain.stream import Recorded
    from projections.storage import Row, Rows

_NEWS: Final = f"""
SELECT {COLUMNS}, chain FROM events WHERE position > ? ORDER BY position"""

_USES: Final = (
    events.RefreshTokenUsed,
    events.RefreshTokenRotated,
    events.RefreshTokenRepeated,
    events.RefreshTokenReuseDetected,
)


class Known(msgspec.Struct):
    """A session as the log has it; times in µs by the store, `…_when` in seconds of the loop."""

    user_key: str
    number: int
    began_when: float
    began_at: int
    generation: int = 1
    used_generation: int = 0
    rotated_at: int = 0
    rotated_when: float = 0.0
    ended: str | None = None
    ended_when: float = 0.0
    expires_at: int = 0
    last_used_at: int = 0
    reused: bool = False

    def ends_at(self, idle: int) -> int:
        """When it is over that isn't used again; not as the product reckons that."""
        return min(self.expires_at, self.last_used_at + idle)


class Witness:
    """Belongs to one run; `now` is the loop's time."""

    def __init__(
        self,
        path: Path,
        ring: Ring,
        now: Callable[[], float],
        counts: Counter[str],
        policy: Policy,
    ) -> None:
        self.sessions: dict[str, Known] = {}
        self.users: dict[str, User] = {}
        self.standing = Standing(self.users, ring)
        self.withdrawn: set[str] = set()
        """The kids of keys that nothing may be accepted of."""
        self.position = 0
        self.time = 0
        self._chain = GENESIS
        self._versions: dict[str, int] = {}
        self._chain_key = ring.log
        self._now = now
        self._counts = counts
        self._policy = policy
        self._stand_anew: dict[str, None] = {}
        self._storage = SqliteStorage(path)

    def close(self) -> None:
        self._storage.close()

    def look(self) -> None:
        """Take in what is new; raises `Violation`."""
        with self._storage.snapshot() as rows:
            news = [self._proved(row) for row in rows.fetch(_NEWS, (self.position,))]
            touched = dict.fromkeys(filter(None, map(self._take, news)))
            for session_id in touched:
                self._compare(rows, session_id)
            for user_key in self._stand_anew:
                self.standing.compare(rows, user_key, self.time)
            self._stand_anew.clear()

    def holder(self, name: str) -> str:
        """Who has a name now."""
        with self._storage.snapshot() as rows:
            return self.standing.holder(rows, name)

    def _proved(self, row: Row) -> Recorded:
        record = record_from(row[:-1])
        before = self._versions.get(record.stream, 0)
        if (record.position, record.version) != (self.position + 1, before + 1):
            place = f"{record.position} after {self.position}, version {record.version}"
            raise Violation("gap", f"position {place} after {before}")
        if record.time < self.time:
            raise Violation("time", f"{record.position} is {self.time - record.time} µs earlier")
        self._chain = record.chained(self._chain_key, self._chain)
        if row[-1] != self._chain:
            raise Violation("chain", f"position {record.position}")
        self.position, self.time = record.position, record.time
        self._versions[record.stream] = record.version
        return record.recorded()

    def _take(self, recorded: Recorded) -> str | None:
        """Which session it is about."""
        self._counts[recorded.event.name] += 1
        if isinstance(recorded.event, events.SigningKeyWithdrawn):
            self.withdrawn.add(recorded.event.kid)
        if not is_user_stream(recorded.stream):
            return None
        user = self.users.get(recorded.stream, User())
        if self.standing.took(recorded, user):
            self._stand_anew[recorded.stream] = None
        self.users[recorded.stream] = after(user, recorded)
        session_id = getattr(recorded.event, "session_id", None)
        if session_id is not None:
            self._change(session_id, recorded)
        return session_id

    def _change(self, session_id: str, recorded: Recorded) -> None:  # noqa: C901 - one case an event
        if isinstance(recorded.event, _USES):
            self._use(self.sessions[session_id], recorded)
        match recorded.event:
            case events.UserLoggedIn():
                if session_id in self.sessions:
                    raise Violation("doubled", "a session was started twice")
                if len(self._live(recorded)) >= self._policy.session_cap:
                    raise Violation("limit", "another session than there may be has begun")
                number = len(self.sessions)
                session = Known(recorded.stream, number, self._now(), recorded.time)
                session.expires_at = session.last_used_at = recorded.time
                session.rotated_at = recorded.time
                self.sessions[session_id] = session
            case events.RefreshTokenIssued(_, expires_at):
                self.sessions[session_id].expires_at = expires_at
            case events.RefreshTokenUsed(_, generation):
                self.sessions[session_id].used_generation = generation
            case events.RefreshTokenRotated(_, generation):
                session = self.sessions[session_id]
                if generation != session.generation + 1:
                    raise Violation("doubled", f"{generation} follows {session.generation}")
                session.generation, session.used_generation = generation, generation - 1
                session.rotated_at, session.rotated_when = recorded.time, self._now()
            case events.RefreshTokenReuseDetected():
                self.sessions[session_id].reused = True
            case events.RefreshTokenRevoked(_, why):
                session = self.sessions[session_id]
                if session.ended is not None:
                    raise Violation("doubled", f"ended by {why} after {session.ended}")
                if why == "limit":
                    self._make_room(session, recorded)
                session.ended, session.ended_when = why, self._now()

    def _live(self, recorded: Recorded) -> list[Known]:
        """The other sessions of its user that may be used, by the store's own clock."""
        idle, others = self._policy.session_idle, self.users[recorded.stream].sessions
        held = [self.sessions[each] for each in others if each in self.sessions]
        return [each for each in held if recorded.time < each.ends_at(idle)]

    def _make_room(self, session: Known, recorded: Recorded) -> None:
        """A session goes for one that begins: the oldest, of as many as there may be."""
        self._counts["ended at the cap"] += 1
        live = self._live(recorded)
        if recorded.time >= session.ends_at(self._policy.session_idle):
            return
        if len(live) + 1 < self._policy.session_cap:
            raise Violation("limit", f"session {session.number} ended, one of {len(live) + 1}")
        if any(each.began_at < session.began_at for each in live):
            raise Violation("limit", f"session {session.number} ended, and an older one goes on")

    def _use(self, session: Known, recorded: Recorded) -> None:
        """A use by the store's own clock, which leaves no room for skew."""
        ends_at = session.ends_at(self._policy.session_idle)
        if recorded.time >= ends_at:
            late = f"{recorded.event.name} {recorded.time - ends_at} µs late"
            raise Violation("after its time", f"session {session.number}: {late}")
        if not isinstance(recorded.event, events.RefreshTokenReuseDetected):
            session.last_used_at = recorded.time

    def _compare(self, rows: Rows, session_id: str) -> None:
        known = self.sessions[session_id]
        if known.reused and known.ended is None:
            raise Violation("reuse goes on", f"session {known.number} was reused and lives")
        found = TokenRow.of(rows.fetch(LOOK_UP, (session_id,))[0])
        if (known.ended is None) != (found.ended_at is None):
            raise Violation("view", f"session {known.number} ended at {found.ended_at}")
        if known.ended is None:
            wanted = (
                known.began_at,
                known.expires_at,
                known.generation,
                known.rotated_at,
                known.used_generation,
                known.last_used_at,
            )
            seen = (
                found.started_at,
                found.expires_at,
                found.generation,
                found.rotated_at,
                found.used_generation,
                found.last_used_at,
            )
            if seen != wanted:
                raise Violation("view", f"session {known.number} is {seen}, not {wanted}")
