"""Whose access token it is: checked against the keys and the session as they are now.

What a token says is believed only when no key was withdrawn, and no session ended, before it was
shown. Knows no HTTP, and nothing of what a token is good for.
"""

from __future__ import annotations

from collections.abc import Callable

from app.issuing import Issuer
from app.live import check_live
from app.lookup import Lookup
from app.tokens.access_token import Claims
from domain.errors import InvalidToken
from domain.policy import Policy
from projections.token_lookup import TokenRow


class Recognition:
    """Belongs to the event loop. `clock` gives µs."""

    def __init__(
        self, lookup: Lookup, issuer: Issuer, policy: Policy, clock: Callable[[], int]
    ) -> None:
        self._lookup = lookup
        self._issuer = issuer
        self._policy = policy
        self._clock = clock

    async def recognise(self, token: str) -> tuple[Claims, TokenRow]:
        """What an access token claims, with its live session; raises `InvalidToken`."""
        now, keys = self._clock(), self._issuer.keys
        # Whoever else reads the keys meanwhile, the token was checked with these.
        checked_with = keys.generation
        try:
            claims = self._issuer.check(token, now)
        except InvalidToken:
            if not await self._renewed():
                raise
            checked_with = keys.generation
            claims = self._issuer.check(token, now)
        row = await self._lookup.session(claims.sid)
        if row is None or row.user_key != claims.sub:
            raise InvalidToken
        if row.store_generation != checked_with:
            await keys.at(row.store_generation)
            self._issuer.check(token, now)
        check_live(row, self._policy, now)
        return claims, row

    async def genuine(self, token: str) -> Claims | None:
        """The claims of a token that a key of ours signed, expired or not; None for any other."""
        found = self._issuer.genuine(token)
        if found is None and await self._renewed():
            found = self._issuer.genuine(token)
        return found

    async def _renewed(self) -> bool:
        """Whether the keys were older than the store's, and aren't now."""
        before = self._issuer.keys.generation
        await self._issuer.keys.at((await self._lookup.head()).generation)
        return self._issuer.keys.generation != before
