"""A user's one service session: what a program runs in that shows its secret for each token.

No refresh token, and no place among the other sessions; a grant that only repeats writes nothing.
Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from app.caller import Caller
from app.grants import Granted, Grants
from app.identifiers import new_session_id
from app.live import is_live
from app.lookup import Lookup
from app.proving import Proved, Proving
from app.scope import narrowed
from app.signing_keys import DispatchRows
from app.uses import Uses
from domain.commands import RecordUse, StartSession, UserCommand
from domain.errors import InvalidToken, Unavailable
from domain.policy import Policy
from domain.stream import actor_of
from projections.token_lookup import TokenRow

MAX_TRIES: Final = 8
"""How often the session is looked at again because it began or ended in between."""
_GENERATION: Final = 1
"""A service session has no refresh token, so it stays at the first."""


class ServiceSessions:
    """Belongs to the event loop. `clock` gives µs."""

    def __init__(
        self,
        lookup: Lookup,
        dispatch: DispatchRows,
        grants: Grants,
        proving: Proving,
        uses: Uses,
        policy: Policy,
        clock: Callable[[], int],
    ) -> None:
        self._lookup = lookup
        self._dispatch = dispatch
        self._grants = grants
        self._proving = proving
        self._uses = uses
        self._policy = policy
        self._clock = clock

    async def grant(self, user_key: str, secret: str, scope: str | None, caller: Caller) -> Granted:
        """A token for who knows the secret (RFC 6749 §4.4).

        Raises as `Proving.by_key` does, `InvalidScope`, and `Unavailable` in the last second of a
        session, which no token fits into and another can't follow yet.
        """
        proved = await self._proving.by_key(user_key, secret, caller)
        narrowed(proved.row.permissions, scope)
        begun = False
        for left in reversed(range(MAX_TRIES)):
            row = await self._lookup.service_session(proved.row.user_key, proved.row.secret_version)
            if row is not None and is_live(row, self._policy, self._clock()):
                # Else it ended in between, or by the log's time, or has less than a second left.
                with suppress(InvalidToken):
                    if begun or await self._recorded(row, proved, caller, last=not left):
                        return await self._grants.grant(row, scope)
                    continue
            begun = await self._begun(proved, caller)
        raise Unavailable

    async def _begun(self, proved: Proved, caller: Caller) -> bool:
        """Whether the session began with this grant, and not with another at the same moment."""
        row = proved.row
        command = StartSession(
            row.user_key, new_session_id(), "client_credentials", row.secret_version
        )
        return await self._send(command, proved, caller)

    async def _recorded(self, row: TokenRow, proved: Proved, caller: Caller, *, last: bool) -> bool:
        """Whether the session may be used now, with this use in the log when it is worth it.

        With `last`, the last try, nobody is refused because others were recorded in between.
        Raises `InvalidToken` when it is over.
        """
        reason = self._uses.worth_recording(row, _GENERATION, caller)
        if reason is None:
            return True
        seen_at = None if last else row.last_used_at
        use = RecordUse(row.user_key, row.session_id, _GENERATION, reason, seen_at)
        return await self._send(use, proved, caller)

    async def _send(self, command: UserCommand, proved: Proved, caller: Caller) -> bool:
        """Have it decided, with the network that the program is known by from now on."""
        rows = proved.network.logged_in(proved.row.user_key, self._clock())
        meta = caller.meta(actor_of(command.user_key))
        return bool(await self._dispatch(command, meta, rows))
