"""What somebody can do with a name and a secret: register, authenticate, find the own key.

A budget by source address and a hash are spent before anything is said. An unknown user, a
disabled one and a wrong secret cost the same and get the same answer. Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable

from app.caller import Caller
from app.dispatcher import Dispatcher
from app.failed_logins import FailedLogins
from app.hidden import Hidden
from app.identifiers import new_session_id
from app.issuing import Issuer, Session
from app.lookup import Lookup
from app.opening import Opener, wrapped_key
from app.passwords import HashPool
from app.registration import Registration, Rules
from app.throttle import RegistrationBudget, SourceBudget
from app.vault import Ring, name_mac
from domain import commands, user_id, user_secret
from domain.errors import InvalidCredentials, RegistrationClosed
from domain.policy import Policy
from domain.refresh_token import format_refresh_token
from domain.stream import actor_of
from domain.user_key import is_user_key
from projections.user_directory import CredentialRow


class Tokens(Hidden, frozen=True):
    """What a login gives."""

    access_token: str
    refresh_token: str


class Accounts:
    """Use cases of an account; belongs to the event loop. `clock` gives µs."""

    def __init__(
        self,
        lookup: Lookup,
        dispatcher: Dispatcher,
        issuer: Issuer,
        opener: Opener,
        pool: HashPool,
        sources: SourceBudget,
        registrations: RegistrationBudget,
        failed_logins: FailedLogins,
        policy: Policy,
        rules: Rules,
        ring: Ring,
        clock: Callable[[], int],
    ) -> None:
        self._lookup = lookup
        self._dispatcher = dispatcher
        self._issuer = issuer
        self._opener = opener
        self._pool = pool
        self._sources = sources
        self._registrations = registrations
        self._failed_logins = failed_logins
        self._policy = policy
        self._rules = rules
        self._registration = Registration(dispatcher.dispatch, pool, rules)
        self._ring = ring
        self._clock = clock

    async def register(self, name: str, secret: str, caller: Caller) -> str:
        """A new user's key. Raises what `Registration` and the budgets raise."""
        if not self._rules.open:
            raise RegistrationClosed
        prepared = self._registration.check(name, secret)
        with (
            await self._registrations.reserve(caller.source),
            await self._sources.reserve(caller.source) as attempt,
        ):
            user_key = await self._registration.register(name, prepared, caller.meta())
            attempt.succeeded()
            return user_key

    async def authenticate(self, user_key: str, secret: str, caller: Caller) -> Tokens:
        """A new session's tokens; raises `InvalidCredentials`."""
        prepared = user_secret.prepare(secret)
        with await self._sources.reserve(caller.source) as attempt:
            known = user_key if is_user_key(user_key) else ""
            row = await self._proved(await self._lookup.credential(known), prepared)
            attempt.succeeded()
        await self._issuer.keys.at(row.store_generation)
        session_id = new_session_id()
        command = commands.StartSession(row.user_key, session_id, "secret", row.secret_version)
        recorded = await self._dispatcher.dispatch(command, caller.meta(actor_of(row.user_key)))
        started_at = recorded[-1].time
        return Tokens(
            self._issuer.issue(self._session(row, session_id, started_at), self._clock()),
            format_refresh_token(session_id, 1, self._ring.refresh),
        )

    async def find_user_key(self, name: str, secret: str, caller: Caller) -> str:
        """The key of somebody who knows name and secret; raises `InvalidCredentials`."""
        mac = name_mac(self._ring, user_id.prepare(name))
        prepared = user_secret.prepare(secret)
        with await self._sources.reserve(caller.source) as attempt:
            row = await self._proved(await self._lookup.credential_by_name(mac), prepared)
            attempt.succeeded()
            return row.user_key

    async def _proved(self, row: CredentialRow | None, secret: str) -> CredentialRow:
        """The row, when it is an active user's and the secret is right; one hash in any case."""
        right = await self._pool.verify(self._hash_of(row), secret)
        if row is None:
            raise InvalidCredentials
        if not right:
            self._failed_logins.count(row.user_key)
            raise InvalidCredentials
        if row.status != "active":
            raise InvalidCredentials
        return row

    def _hash_of(self, row: CredentialRow | None) -> str | None:
        if row is None or row.status == "erased" or row.secret_hash is None:
            self._opener.nobody()
            return None
        key = wrapped_key(row.credential_master_id, row.credential_wrapped, row.user_key)
        version = row.credential_version or 0
        return self._opener.credential(row.user_key, version, key, row.secret_hash)

    def _session(self, row: CredentialRow, session_id: str, started_at: int) -> Session:
        """The new session, with what the user might do when the secret was looked at.

        A permission taken away since then counts for nothing here, whatever the token says.
        """
        key = wrapped_key(row.person_master_id, row.person_wrapped, row.user_key)
        return Session(
            row.user_key,
            self._opener.user_id(row.user_key, key, row.user_id or b""),
            session_id,
            started_at,
            started_at + min(self._policy.session_idle, self._policy.session_max),
            row.permissions,
        )
