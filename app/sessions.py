"""What the holder of an access token, or an administrator, can do with sessions.

Be recognised, and end sessions: the row that a look-up finds decides, against the clock and the
policy. Knows no HTTP.
"""

from __future__ import annotations

import msgspec

from app.caller import Caller
from app.lookup import Lookup
from app.opening import Opener, wrapped_key
from app.recognition import Recognition
from app.registration import Dispatch
from domain.commands import Authority, EndSession, EndSessions
from domain.errors import InsufficientPermission, NotFound
from domain.permission import common, implies
from domain.refresh_token import is_session_id
from domain.stream import actor_of


class Bearer(msgspec.Struct, frozen=True):
    """Who calls, with an access token that holds now; times in µs.

    `permissions` are those that the token has and the user still holds.
    """

    user_key: str
    user_id: str
    permissions: tuple[str, ...]
    session_id: str
    registered_at: int
    expires_at: int

    @property
    def authority(self) -> Authority:
        """What this token may change."""
        return Authority(self.user_key, self.permissions)

    def demand(self, permission: str) -> None:
        """Raises `InsufficientPermission` naming it; `admin` implies all."""
        if not implies(self.permissions, permission):
            raise InsufficientPermission(permission)


class Sessions:
    """Use cases of a session; belongs to the event loop."""

    def __init__(
        self, lookup: Lookup, dispatch: Dispatch, recognition: Recognition, opener: Opener
    ) -> None:
        self._lookup = lookup
        self._dispatch = dispatch
        self._recognition = recognition
        self._opener = opener

    async def bearer(self, token: str) -> Bearer:
        """Who holds an access token; raises `InvalidToken` when token or session is over."""
        claims, row = await self._recognition.recognise(token)
        self._opener.at(row.store_generation)
        key = wrapped_key(row.master_id, row.wrapped, row.user_key)
        return Bearer(
            claims.sub,
            self._opener.user_id(row.user_key, key, row.user_id or b""),
            common(row.permissions.split(), claims.scope.split()),
            claims.sid,
            row.registered_at,
            claims.exp * 1_000_000,
        )

    async def end(self, bearer: Bearer, session_id: str, caller: Caller) -> None:
        """End a session of the bearer's own, once; raises `NotFound` for any other."""
        row = await self._lookup.session(session_id) if is_session_id(session_id) else None
        if row is None or row.user_key != bearer.user_key:
            msg = "You have no session of this id."
            raise NotFound(msg)
        command = EndSession(bearer.user_key, session_id, "owner")
        await self._dispatch(command, caller.meta(actor_of(bearer.user_key)))

    async def end_all(self, bearer: Bearer, caller: Caller, *, keep_current: bool = False) -> None:
        """End every session of the bearer's own, or every other one."""
        keep = bearer.session_id if keep_current else None
        command = EndSessions(bearer.user_key, "end_all", keep)
        await self._dispatch(command, caller.meta(actor_of(bearer.user_key)))
