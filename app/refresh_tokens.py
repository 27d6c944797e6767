"""What the holder of a refresh token can do: refresh, rotate, revoke.

The row that a look-up finds decides, against the clock and the policy; a use that is worth a
record, a rotation and a reuse are recorded before the answer. Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from app.caller import Caller
from app.dispatcher import Dispatcher
from app.grants import Granted, Grants
from app.hidden import Hidden
from app.live import check_live
from app.lookup import Lookup
from app.scope import narrowed
from app.uses import Uses
from domain import commands, events
from domain.commands import UserCommand
from domain.errors import InvalidToken, Unavailable
from domain.policy import Policy
from domain.refresh_token import RefreshToken, format_refresh_token, is_genuine, parse
from domain.stream import Recorded, actor_of
from projections.token_lookup import TokenRow

MAX_TRIES: Final = 8
"""How often a token is looked at again because others were recorded in between."""


class Refreshed(Hidden, frozen=True):
    """What a refresh gives, and to whom; `refresh_token` is the successor's when it rotated.

    The access token lives `expires_in` seconds.
    """

    user_key: str
    access_token: str
    refresh_token: str | None
    expires_in: int
    scope: str


class RefreshTokens:
    """Use cases of a refresh token; belongs to the event loop. `clock` gives µs.

    With `always_rotate` every refresh rotates, whether it asks for it or not.
    """

    def __init__(
        self,
        lookup: Lookup,
        dispatcher: Dispatcher,
        grants: Grants,
        uses: Uses,
        policy: Policy,
        refresh_key: bytes,
        clock: Callable[[], int],
        *,
        always_rotate: bool = False,
    ) -> None:
        self._lookup = lookup
        self._dispatcher = dispatcher
        self._grants = grants
        self._uses = uses
        self._policy = policy
        self._refresh_key = refresh_key
        self._clock = clock
        self._always_rotate = always_rotate

    async def refresh(
        self,
        text: str,
        caller: Caller,
        *,
        rotate: bool = False,
        user_key: str | None = None,
        scope: str | None = None,
    ) -> Refreshed:
        """A new access token, and the successor when it rotates; raises `InvalidToken`.

        With `user_key` the token must be that user's, and `scope` narrows the access token:
        raises `InvalidScope`.
        """
        token = self._genuine(text)
        rotate = rotate or self._always_rotate
        row = await self._good(token, caller, rotate=rotate, user_key=user_key, scope=scope)
        granted = await self._grants.grant(row, scope)
        return self._refreshed(row, token, granted, rotate=rotate)

    async def use(self, text: str, caller: Caller) -> TokenRow:
        """The session of a token that is used without a grant, as by pages; never rotates.

        Recorded as any use is, reuse too; raises `InvalidToken`.
        """
        return await self._good(self._genuine(text), caller)

    async def check(self, text: str) -> TokenRow:
        """The session of a token that is the newest of it, and records nothing.

        Raises `InvalidToken`.
        """
        token = self._genuine(text)
        row = await self._row(token)
        if token.generation != row.generation:
            raise InvalidToken(reason="retired")
        return row

    async def revoke(self, text: str, caller: Caller, *, user_key: str | None = None) -> None:
        """End the session of a refresh token, of any of its generations; else do nothing.

        With `user_key` the token must be that user's.
        """
        token = parse(text)
        if token is None or not is_genuine(token, self._refresh_key):
            return
        row = await self._lookup.session(token.session_id)
        if row is None or token.generation > row.generation:
            return
        if user_key not in {None, row.user_key}:
            return
        await self._dispatch(commands.EndSession(row.user_key, token.session_id, "owner"), caller)

    def _genuine(self, text: str) -> RefreshToken:
        token = parse(text)
        if token is None or not is_genuine(token, self._refresh_key):
            raise InvalidToken
        return token

    async def _good(
        self,
        token: RefreshToken,
        caller: Caller,
        *,
        rotate: bool = False,
        user_key: str | None = None,
        scope: str | None = None,
    ) -> TokenRow:
        """The session of a good token, once what is worth a record is recorded."""
        for left in reversed(range(MAX_TRIES)):
            found = await self._row(token)
            if token.generation == found.generation:
                # Else first whether it is reuse, whatever is asked for with it.
                _check_asked(found, user_key, scope)
            row = await self._passed(found, token, caller, rotate=rotate, last=not left)
            if row is not None:
                _check_asked(row, user_key, scope)
                return row
        raise Unavailable

    async def _row(self, token: RefreshToken) -> TokenRow:
        """The token's session, which holds now; raises `InvalidToken`."""
        row = await self._lookup.session(token.session_id)
        if row is None:
            raise InvalidToken(reason="expired")
        if token.generation > row.generation:
            raise InvalidToken
        check_live(row, self._policy, self._clock())
        return row

    async def _passed(
        self, row: TokenRow, token: RefreshToken, caller: Caller, *, rotate: bool, last: bool
    ) -> TokenRow | None:
        """The row of a good token, once what is worth a record is recorded; None: look again.

        With `last`, the last try, nobody is refused because others were recorded in between.
        """
        if token.generation < row.generation:
            return await self._repeated(row, token, caller, last=last)
        command: UserCommand
        if rotate:
            command = commands.RotateToken(row.user_key, token.session_id, token.generation)
        else:
            reason = self._uses.worth_recording(row, token.generation, caller)
            if reason is None:
                return row
            seen_at = None if last else row.last_used_at
            command = commands.RecordUse(
                row.user_key, token.session_id, token.generation, reason, seen_at
            )
        recorded = await self._recorded(command, token, caller)
        return _used(row, recorded) if recorded else None

    async def _repeated(
        self, row: TokenRow, token: RefreshToken, caller: Caller, *, last: bool
    ) -> TokenRow | None:
        """As `_passed`, for a token of an earlier generation: a repeat, a duplicate or reuse.

        By the store's clock, which its rotation was timed by.
        """
        every = self._policy.record_every_use
        elsewhere = every or self._uses.is_elsewhere(row, caller)
        seen_at = None if last or every else row.last_used_at
        command = commands.PresentRetired(
            row.user_key, token.session_id, token.generation, elsewhere, seen_at
        )
        recorded = await self._recorded(command, token, caller)
        if any(isinstance(each.event, events.RefreshTokenReuseDetected) for each in recorded):
            raise InvalidToken(reason="reused")
        if not recorded:
            return None if elsewhere else row
        return _used(row, recorded)

    async def _recorded(
        self, command: UserCommand, token: RefreshToken, caller: Caller
    ) -> tuple[Recorded, ...]:
        """What follows; a refusal for what came in between gives the reason that the row has."""
        try:
            return await self._dispatch(command, caller)
        except InvalidToken as refusal:
            await self._row(token)
            if refusal.reason != "revoked":
                raise
            # Nobody ended it: the log, whose time is ahead of this clock, has left it behind.
            raise InvalidToken(reason="expired") from None

    async def _dispatch(self, command: UserCommand, caller: Caller) -> tuple[Recorded, ...]:
        return await self._dispatcher.dispatch(command, caller.meta(actor_of(command.user_key)))

    def _refreshed(
        self, row: TokenRow, token: RefreshToken, granted: Granted, *, rotate: bool
    ) -> Refreshed:
        successor = None
        if rotate:
            successor = format_refresh_token(
                token.session_id, token.generation + 1, self._refresh_key
            )
        return Refreshed(
            row.user_key, granted.access_token, successor, granted.expires_in, granted.scope
        )


def _check_asked(row: TokenRow, user_key: str | None, scope: str | None) -> None:
    """Raises `InvalidToken` when it must be another user's, `InvalidScope`."""
    if user_key not in {None, row.user_key}:
        raise InvalidToken
    if scope is not None:
        narrowed(row.permissions, scope)


def _used(row: TokenRow, recorded: tuple[Recorded, ...]) -> TokenRow:
    """The row as a recorded use leaves it, as far as an answer needs it."""
    return msgspec.structs.replace(row, last_used_at=recorded[-1].time)
