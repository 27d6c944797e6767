"""The access token of a session that holds, as its row says it now.

Whether it holds, and what has to be recorded first, is the use cases' to say.
"""

from __future__ import annotations

from collections.abc import Callable

from app.hidden import Hidden
from app.issuing import Issuer, Session
from app.opening import Opener, wrapped_key
from app.scope import narrowed
from domain.policy import Policy
from projections.token_lookup import TokenRow


class Granted(Hidden, frozen=True):
    """An access token, how many seconds it lives, and its scope."""

    access_token: str
    expires_in: int
    scope: str


class Grants:
    """Belongs to the event loop. `clock` gives µs."""

    def __init__(
        self, issuer: Issuer, opener: Opener, policy: Policy, clock: Callable[[], int]
    ) -> None:
        self._issuer = issuer
        self._opener = opener
        self._policy = policy
        self._clock = clock

    async def grant(self, row: TokenRow, scope: str | None) -> Granted:
        """A token of the session that the row is of; raises `InvalidScope`, `InvalidToken`."""
        keys = self._issuer.keys
        if row.store_generation != keys.generation:
            await keys.at(row.store_generation)
        self._opener.at(row.store_generation)
        key = wrapped_key(row.master_id, row.wrapped, row.user_key)
        session = Session(
            row.user_key,
            self._opener.user_id(row.user_key, key, row.user_id or b""),
            row.session_id,
            row.started_at,
            self._policy.ends_at(row.expires_at, row.last_used_at),
            narrowed(row.permissions, scope),
        )
        token, lifetime = await self._issuer.issue(session, self._clock())
        return Granted(token, lifetime, session.permissions)
