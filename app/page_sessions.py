"""Who looks at a page: the holder of a session that a browser keeps.

The cookie's refresh token is looked up each time, and is worth what its session and its user are
worth then. Knows no HTTP, and no cookie.
"""

from __future__ import annotations

from app.accounts import Accounts, LoggedIn
from app.caller import Caller
from app.opening import Opener, wrapped_key
from app.refresh_tokens import RefreshTokens
from app.sessions import Bearer
from domain.policy import Policy
from projections.token_lookup import TokenRow


class PageSessions:
    """Belongs to the event loop."""

    def __init__(
        self, accounts: Accounts, refresh_tokens: RefreshTokens, opener: Opener, policy: Policy
    ) -> None:
        self._accounts = accounts
        self._refresh_tokens = refresh_tokens
        self._opener = opener
        self._policy = policy

    async def begin(self, who: str, secret: str, caller: Caller) -> LoggedIn:
        """A new session of whoever has this name or user_key; raises as `Accounts.log_in` does."""
        return await self._accounts.log_in(who, secret, caller)

    async def visitor(self, token: str, caller: Caller) -> Bearer:
        """Whose session it is, with all that the user may do; raises `InvalidToken`.

        A use of the token, recorded as one at `/refresh` is.
        """
        return self._bearer(await self._refresh_tokens.use(token, caller))

    async def still(self, token: str) -> Bearer:
        """The same for what goes on and on: it records nothing."""
        return self._bearer(await self._refresh_tokens.check(token))

    async def end(self, token: str, caller: Caller) -> None:
        """End the session, if there is one."""
        await self._refresh_tokens.revoke(token, caller)

    def _bearer(self, row: TokenRow) -> Bearer:
        self._opener.at(row.store_generation)
        key = wrapped_key(row.master_id, row.wrapped, row.user_key)
        return Bearer(
            row.user_key,
            self._opener.user_id(row.user_key, key, row.user_id or b""),
            tuple(row.permissions.split()),
            row.session_id,
            row.registered_at,
            self._policy.ends_at(row.expires_at, row.last_used_at),
        )
