"""What the holder of a token can do: refresh, revoke, be recognised.

The row that a look-up finds decides, against the clock and the policy; a use that is worth a
record is recorded before the answer. Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from app.caller import Caller
from app.dispatcher import Dispatcher
from app.issuing import Issuer, Session
from app.lookup import Lookup
from app.opening import Opener, wrapped_key
from app.vault import Wrapped
from domain import commands
from domain.commands import UseReason
from domain.errors import InvalidToken, Unavailable
from domain.policy import Policy
from domain.refresh_token import RefreshToken, is_genuine, parse
from domain.stream import actor_of
from projections.token_lookup import TokenRow

MAX_TRIES: Final = 8
"""How often a use is looked at again because others were recorded in between."""


class Bearer(msgspec.Struct, frozen=True):
    """Who calls, with an access token that holds now; times in µs."""

    user_key: str
    user_id: str
    permissions: tuple[str, ...]
    session_id: str
    registered_at: int
    expires_at: int


class Sessions:
    """Use cases of a session; belongs to the event loop. `clock` gives µs."""

    def __init__(
        self,
        lookup: Lookup,
        dispatcher: Dispatcher,
        issuer: Issuer,
        opener: Opener,
        policy: Policy,
        refresh_key: bytes,
        clock: Callable[[], int],
    ) -> None:
        self._lookup = lookup
        self._dispatcher = dispatcher
        self._issuer = issuer
        self._opener = opener
        self._policy = policy
        self._refresh_key = refresh_key
        self._clock = clock

    async def refresh(self, text: str, caller: Caller) -> tuple[str, str]:
        """A new access token for a refresh token, and whose; raises `InvalidToken`."""
        token = self._genuine(text)
        row = await self._current(token)
        for _ in range(MAX_TRIES):
            reason = self._worth_recording(row, token, caller)
            if reason is None or await self._recorded(row, token, reason, caller):
                return self._issue(row), row.user_key
            row = await self._current(token)
        raise Unavailable

    async def revoke(self, text: str, caller: Caller) -> None:
        """End the session of a refresh token, of any of its generations; else do nothing."""
        token = parse(text)
        if token is None or not is_genuine(token, self._refresh_key):
            return
        row = await self._lookup.session(token.session_id)
        if row is None or row.ended_at is not None or token.generation > row.generation:
            return
        command = commands.EndSession(row.user_key, token.session_id, "owner")
        await self._dispatcher.dispatch(command, caller.meta(actor_of(row.user_key)))

    async def bearer(self, token: str) -> Bearer:
        """Who holds an access token; raises `InvalidToken` when token or session is over."""
        now = self._clock()
        claims = self._issuer.check(token, now)
        row = await self._lookup.session(claims.sid)
        if row is None or row.user_key != claims.sub:
            raise InvalidToken
        if row.store_generation != self._issuer.keys.generation:
            await self._issuer.keys.at(row.store_generation)
            self._issuer.check(token, now)
        self._check_live(row, now)
        stored = row.permissions.split()
        granted = set(claims.scope.split())
        return Bearer(
            claims.sub,
            self._user_id(row),
            tuple(permission for permission in stored if permission in granted),
            claims.sid,
            row.registered_at,
            claims.exp * 1_000_000,
        )

    async def _recorded(
        self, row: TokenRow, token: RefreshToken, reason: UseReason, caller: Caller
    ) -> bool:
        """Whether the use is in the log now; not when another one came in between."""
        use = commands.RecordUse(
            row.user_key, token.session_id, token.generation, reason, row.last_used_at
        )
        return bool(await self._dispatcher.dispatch(use, caller.meta(actor_of(row.user_key))))

    def _genuine(self, text: str) -> RefreshToken:
        token = parse(text)
        if token is None or not is_genuine(token, self._refresh_key):
            raise InvalidToken
        return token

    async def _current(self, token: RefreshToken) -> TokenRow:
        """The session's row, when its refresh token of this generation is good now."""
        row = await self._lookup.session(token.session_id)
        if row is None:
            raise InvalidToken(reason="expired")
        if token.generation > row.generation:
            raise InvalidToken
        if row.store_generation != self._issuer.keys.generation:
            await self._issuer.keys.at(row.store_generation)
        self._check_live(row, self._clock())
        if token.generation < row.generation:
            raise InvalidToken(reason="retired")
        return row

    def _check_live(self, row: TokenRow, now: int) -> None:
        if row.status == "disabled":
            raise InvalidToken(reason="user_disabled")
        if row.ended_at is not None or row.status != "active":
            raise InvalidToken(reason="reused" if row.ended_why == "reuse" else "revoked")
        if now >= self._ends_at(row):
            raise InvalidToken(reason="expired")

    def _ends_at(self, row: TokenRow) -> int:
        return min(row.expires_at, row.last_used_at + self._policy.session_idle)

    def _worth_recording(
        self, row: TokenRow, token: RefreshToken, caller: Caller
    ) -> UseReason | None:
        if row.used_generation < token.generation:
            return "first"
        if self._policy.record_every_use:
            return "every"
        if (
            row.used_origin is None
            or self._opener.origin(row.user_key, self._key_of(row), row.used_origin)
            != caller.origin
        ):
            return "elsewhere"
        if self._clock() - row.last_used_at >= self._policy.use_interval:
            return "due"
        return None

    def _issue(self, row: TokenRow) -> str:
        session = Session(
            row.user_key,
            self._user_id(row),
            row.session_id,
            row.started_at,
            self._ends_at(row),
            row.permissions,
        )
        return self._issuer.issue(session, self._clock())

    def _key_of(self, row: TokenRow) -> Wrapped:
        self._opener.at(row.store_generation)
        return wrapped_key(row.master_id, row.wrapped, row.user_key)

    def _user_id(self, row: TokenRow) -> str:
        return self._opener.user_id(row.user_key, self._key_of(row), row.user_id or b"")
