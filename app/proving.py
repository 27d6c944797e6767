"""Whether somebody knows a user's secret: budgets first, then hashes, and then the answer.

An unknown user, a disabled one and a wrong secret cost the same and get the same answer; what
can't be a secret is a wrong one. Knows no HTTP, and nothing of what a right secret is good for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from app.caller import Caller
from app.failed_logins import FailedLogins
from app.known_networks import Network, network_mac, nobody
from app.lookup import Lookup
from app.opening import Opener, wrapped_key
from app.passwords import HashPool
from app.rehashing import Rehashing
from app.throttle import AccountBudget, SourceBudget, network_of
from domain import user_secret
from domain.errors import InvalidCredentials, InvalidRequest
from domain.user_key import is_user_key
from projections.user_directory import CredentialRow

_NOBODYS: Final = "\0"
"""Can't be prepared, so that no stored hash is of it."""


class Proved(NamedTuple):
    """Who has shown the right secret, and from which network."""

    row: CredentialRow
    network: Network


class _Asked(NamedTuple):
    """Who is asked for, as found: no row for an unknown one."""

    account: str
    row: CredentialRow | None
    network: Network


class Proving:
    """Belongs to the event loop. `network_key` is the ring's; `clock` gives µs."""

    def __init__(
        self,
        lookup: Lookup,
        opener: Opener,
        pool: HashPool,
        sources: SourceBudget,
        accounts: AccountBudget,
        failed_logins: FailedLogins,
        rehashing: Rehashing,
        network_key: bytes,
        clock: Callable[[], int],
    ) -> None:
        self._lookup = lookup
        self._opener = opener
        self._pool = pool
        self._sources = sources
        self._accounts = accounts
        self._failed_logins = failed_logins
        self._rehashing = rehashing
        self._network_key = network_key
        self._clock = clock

    async def by_key(self, user_key: str, secret: str, caller: Caller) -> Proved:
        """The active user of this key, whose secret this is.

        Raises `InvalidCredentials`, and before a hash is spent `TooManyAttempts`.
        """
        return await self._attempt(self._find_by_key(user_key, caller.source), secret, caller)

    async def by_name(self, name_mac: bytes, secret: str, caller: Caller) -> Proved:
        """The active user of this name, by its keyed hash; raises as `by_key` does."""
        return await self._attempt(self._find_by_name(name_mac, caller.source), secret, caller)

    async def _attempt(
        self, found: Callable[[], Awaitable[_Asked]], secret: str, caller: Caller
    ) -> Proved:
        with await self._sources.reserve(caller.source) as by_source:
            account, row, network = await found()
            known = network.mac.hex() if network.is_known(self._clock()) else None
            with await self._accounts.reserve(account, known) as at_account:
                right = await self._right(row, _comparable(secret))
                at_account.succeeded()
                by_source.succeeded()
        return Proved(right, network)

    def _find_by_key(self, user_key: str, source: str) -> Callable[[], Awaitable[_Asked]]:
        """One read, whether there is such a user or not."""

        async def find() -> _Asked:
            mac = network_mac(self._network_key, user_key, network_of(source))
            row = await self._lookup.credential(user_key if is_user_key(user_key) else "", mac)
            nobodys = nobody(self._network_key, user_key)
            if row is None or row.status == "erased":
                return _Asked(nobodys, None, Network(mac, None))
            return _Asked(row.user_key, row, Network(mac, row.network_last_at))

        return find

    def _find_by_name(self, name_mac: bytes, source: str) -> Callable[[], Awaitable[_Asked]]:
        """Two reads, whether there is such a user or not."""

        async def find() -> _Asked:
            row = await self._lookup.credential_by_name(name_mac)
            nobodys = nobody(self._network_key, name_mac.hex())
            account = nobodys if row is None else row.user_key
            mac = network_mac(self._network_key, account, network_of(source))
            last_at = await self._lookup.known_network(account, mac)
            return _Asked(account, row, Network(mac, last_at))

        return find

    async def _right(self, row: CredentialRow | None, secret: str) -> CredentialRow:
        """The row, when it is an active user's and the secret is right; else the same hashes."""
        secret_hash = self._hash_of(row)
        active = row is not None and row.status == "active"
        right = await self._pool.verify(secret_hash, secret, admitted=active)
        if row is None or secret_hash is None:
            self._failed_logins.count(None)
            raise InvalidCredentials
        if not (right and active):
            self._failed_logins.count(None if right else row.user_key)
            raise InvalidCredentials
        self._rehashing.consider(row, secret_hash, secret)
        return row

    def _hash_of(self, row: CredentialRow | None) -> str | None:
        if row is None or row.secret_hash is None:
            self._opener.nobody()
            return None
        key = wrapped_key(row.credential_master_id, row.credential_wrapped, row.user_key)
        version = row.credential_version or 0
        return self._opener.credential(row.user_key, version, key, row.secret_hash)


def _comparable(secret: str) -> str:
    """The form that was hashed; for what can't be a secret one that costs a hash all the same."""
    try:
        return user_secret.prepare(secret)
    except InvalidRequest:
        return _NOBODYS
