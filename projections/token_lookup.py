"""Sessions and their refresh tokens: what `/refresh` and bearer checks look up.

Inline. A row goes when its user logs in more than 30 days after the session was over. Knows no
policy: whether a session is still live is computed by whoever reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from domain import events
from domain.events import Event
from domain.policy import ENDED_SESSION_KEPT
from domain.sealed import sealed
from domain.stream import Recorded
from projections.projection import Mode
from projections.storage import Row, Rows, Value, pieces

_CREATE: Final = """
CREATE TABLE IF NOT EXISTS token_lookup_v1 (
  session_id TEXT PRIMARY KEY,
  user_key TEXT NOT NULL,
  service BIGINT NOT NULL,
  started_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  rotated_at BIGINT NOT NULL,
  used_generation BIGINT NOT NULL,
  last_used_at BIGINT NOT NULL,
  ended_at BIGINT,
  ended_why TEXT,
  origin BYTEA,
  used_origin BYTEA
)"""
CREATE_BY_END: Final = """
CREATE INDEX IF NOT EXISTS token_lookup_v1_by_end
ON token_lookup_v1 (user_key, ended_at, started_at)"""
"""A user's live sessions and those that ended long ago, however many there were meanwhile. The
first stores were made with `token_lookup_v1_user` instead."""
DROP_BY_USER: Final = "DROP INDEX IF EXISTS token_lookup_v1_user"

_START: Final = """
INSERT INTO token_lookup_v1 (session_id, user_key, service, started_at, expires_at, generation,
  rotated_at, used_generation, last_used_at, origin)
VALUES (?, ?, ?, ?, ?, 1, ?, 0, ?, ?)"""
_DROP_LONG_OVER: Final = """
DELETE FROM token_lookup_v1 WHERE user_key = ? AND ended_at < ?
  OR user_key = ? AND ended_at IS NULL AND expires_at < ?"""
_ISSUE: Final = "UPDATE token_lookup_v1 SET expires_at = ? WHERE session_id = ?"
_MOVE: Final = """
WITH moved (session_id, generation, rotated_at, used_generation, last_used_at, used_origin) AS (
VALUES %s)
UPDATE token_lookup_v1 AS t SET generation = coalesce(m.generation, t.generation),
  rotated_at = coalesce(m.rotated_at, t.rotated_at),
  used_generation = coalesce(m.used_generation, t.used_generation),
  last_used_at = m.last_used_at, used_origin = m.used_origin
FROM moved m WHERE t.session_id = m.session_id"""
_MOVED: Final = (
    "(CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), "
    "CAST(? AS BIGINT), CAST(? AS BLOB))"
)
_END: Final = """
UPDATE token_lookup_v1 SET ended_at = ?, ended_why = ? WHERE session_id = ? AND ended_at IS NULL"""
_END_ALL: Final = """
UPDATE token_lookup_v1 SET ended_at = ?, ended_why = ? WHERE user_key = ? AND ended_at IS NULL"""

LOOK_UP: Final = """
SELECT t.session_id, t.user_key, t.service, t.started_at, t.expires_at, t.generation,
  t.rotated_at, t.used_generation, t.last_used_at, t.ended_at, t.ended_why, t.used_origin,
  d.user_id, d.status, d.permissions, d.registered_at, k.master_id, k.wrapped, s.generation
FROM store s
LEFT JOIN token_lookup_v1 t ON t.session_id = ?
LEFT JOIN user_directory_v1 d ON d.user_key = t.user_key
LEFT JOIN user_keys k ON k.user_key = t.user_key AND k.version = 0"""
"""One row by session id, with its user, the user's wrapped key and the store's generation.

Of a session that isn't there only the generation: it says whether this was asked of the live
tables.
"""

LOOK_UP_MANY: Final = LOOK_UP.replace("= ?", "= ANY(?)")
"""The same for many at once, on PostgreSQL."""

LOOK_UP_SERVICE: Final = LOOK_UP.replace(
    "t.session_id = ?",
    """t.session_id = (
  SELECT x.session_id FROM token_lookup_v1 x JOIN user_directory_v1 u ON u.user_key = x.user_key
  WHERE x.user_key = ? AND u.secret_version = ? AND x.ended_at IS NULL AND x.service = 1
  ORDER BY x.started_at DESC LIMIT 1)""",
)
"""The same by user_key: the user's service session, while the secret is of that version."""

_SESSIONS: Final = """
SELECT t.session_id, t.user_key, t.service, t.started_at, t.expires_at, t.last_used_at, t.origin,
  t.used_origin, k.master_id, k.wrapped
FROM token_lookup_v1 t
LEFT JOIN user_keys k ON k.user_key = t.user_key AND k.version = 0
WHERE t.user_key = ? AND t.ended_at IS NULL AND t.expires_at > ? AND t.last_used_at > ?
"""
SESSIONS_OF: Final = {
    "asc": _SESSIONS
    + "AND (t.started_at, t.session_id) > (?, ?) ORDER BY t.started_at, t.session_id LIMIT ?",
    "desc": _SESSIONS
    + "AND (t.started_at, t.session_id) < (?, ?) "
    + "ORDER BY t.started_at DESC, t.session_id DESC LIMIT ?",
}
"""A user's live sessions after a place, in each order, in the order of `SessionRow`; the second
and third parameters are now and now less the idle limit, in µs."""

WITH_SESSIONS: Final = """
SELECT DISTINCT user_key FROM token_lookup_v1
WHERE ended_at IS NULL AND user_key > ? ORDER BY user_key LIMIT ?"""
"""Users with a session that nobody ended, after one of them: it is live by some clock."""


class TokenRow(msgspec.Struct, frozen=True):
    """What a look-up finds; the members in the order of `LOOK_UP`; times in µs."""

    session_id: str
    user_key: str
    service: int
    started_at: int
    expires_at: int
    generation: int
    rotated_at: int
    used_generation: int
    last_used_at: int
    ended_at: int | None
    ended_why: str | None
    used_origin: bytes | None
    user_id: bytes | None
    status: str
    permissions: str
    registered_at: int
    master_id: str | None
    wrapped: bytes | None
    store_generation: int

    @classmethod
    def of(cls, row: Row) -> TokenRow:
        """The row as the storage gives it."""
        return cls(*row)  # type: ignore[arg-type]


class SessionRow(msgspec.Struct, frozen=True):
    """What a list of sessions shows; times in µs."""

    session_id: str
    user_key: str
    service: int
    started_at: int
    expires_at: int
    last_used_at: int
    origin: bytes | None
    used_origin: bytes | None
    master_id: str | None
    wrapped: bytes | None

    @classmethod
    def of(cls, row: Row) -> SessionRow:
        """The row as the storage gives it."""
        return cls(*row)  # type: ignore[arg-type]


class TokenLookup:
    """Keeps `token_lookup_v1`."""

    name = "token_lookup"
    version = 1
    mode: Mode = "inline"
    wants: frozenset[type[Event]] = frozenset(
        {
            events.UserLoggedIn,
            events.RefreshTokenIssued,
            events.RefreshTokenUsed,
            events.RefreshTokenRotated,
            events.RefreshTokenRepeated,
            events.RefreshTokenRevoked,
            events.UserErased,
        }
    )
    tables: tuple[str, ...] = (_CREATE, CREATE_BY_END)

    def apply(self, rows: Rows, batch: Sequence[Recorded]) -> None:
        """Start, move on and end sessions.

        Where sessions stand is written last, together: a session starts before it is used, and
        nothing else writes or reads these columns of one that there is.
        """
        moved: dict[str, _Moved] = {}
        for recorded in batch:
            for sql, params in _changes(recorded):
                rows.execute(sql, params)
            move = _move(recorded)
            if move is not None:
                before = moved.get(move.session_id)
                moved[move.session_id] = move if before is None else before.then(move)
        for piece in pieces(list(moved.values())):
            values = ", ".join([_MOVED] * len(piece))
            rows.execute(_MOVE % values, [each for move in piece for each in move])


class _Moved(NamedTuple):
    """What uses of a session leave in its row; None: as it was."""

    session_id: str
    generation: int | None
    rotated_at: int | None
    used_generation: int | None
    last_used_at: int
    used_origin: bytes | None

    def then(self, later: _Moved) -> _Moved:
        """Both, one after the other."""
        return later._replace(
            generation=_newer(self.generation, later.generation),
            rotated_at=_newer(self.rotated_at, later.rotated_at),
            used_generation=_newer(self.used_generation, later.used_generation),
        )


def _newer(before: int | None, later: int | None) -> int | None:
    return before if later is None else later


def _move(recorded: Recorded) -> _Moved | None:
    time = recorded.time
    match recorded.event:
        case events.RefreshTokenUsed(session_id, generation):
            return _Moved(session_id, None, None, generation, time, _origin(recorded))
        case events.RefreshTokenRotated(session_id, generation):
            origin = _origin(recorded)
            return _Moved(session_id, generation, time, generation - 1, time, origin)
        case events.RefreshTokenRepeated(session_id):
            return _Moved(session_id, None, None, None, time, _origin(recorded))
        case _:
            return None


def _origin(recorded: Recorded) -> bytes | None:
    origin = recorded.meta.origin
    return None if origin is None else sealed(origin)


def _changes(recorded: Recorded) -> tuple[tuple[str, tuple[Value, ...]], ...]:
    time = recorded.time
    match recorded.event:
        case events.UserLoggedIn(session_id, by):
            user, over = recorded.stream, time - ENDED_SESSION_KEPT
            service = int(by == "client_credentials")
            started = (session_id, user, service, time, time, time, time, _origin(recorded))
            return (
                (_DROP_LONG_OVER, (user, over, user, over)),
                (_START, started),
            )
        case events.RefreshTokenIssued(session_id, expires_at):
            return ((_ISSUE, (expires_at, session_id)),)
        case events.RefreshTokenRevoked(session_id, why):
            return ((_END, (time, why, session_id)),)
        case events.UserErased():
            return ((_END_ALL, (time, "erased", recorded.stream)),)
        case _:
            return ()
