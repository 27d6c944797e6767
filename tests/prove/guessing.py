"""A thousand addresses guess one secret for days, while its owner logs in every half minute.

Every other guess asks for the user_key by name. The whole path of a login, as the service is put
together, on a clock that is turned by hand: budgets, look-up, hash, command. How many guesses reach
the hash in any 24 hours, whichever they are, and whether the owner ever waits outside. Security
rules 9 and 18.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from contextlib import closing
from copy import copy
from typing import TYPE_CHECKING, Final, NamedTuple

from app.bootstrap import running
from app.buckets import Limit
from app.buckets_memory import MemoryKeeper
from app.buckets_postgres import PostgresKeeper
from app.caller import Caller
from app.identifiers import new_request_id
from app.settings import load
from app.throttle import STRANGERS, AccountBudget, Attempt, SourceBudget
from domain.errors import InvalidCredentials, TooManyAttempts, TryLater
from domain.policy import SECOND
from tests.prove.tally import Tally
from tests.prove.turned import Turned
from tests.running import settings
from tests.store.intruding import SQLITE

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from app.accounts import Accounts
    from app.bootstrap import Service
    from app.buckets import Keeper

PROPERTY: Final = "1,000 addresses guess (hours): 100 looked at in any 24, the owner gets in"
SIZE: Final = 48
OF: Final = "hours"
STEP: Final = 48
SHORT: Final = 1
STORES: Final = ("sqlite", "postgresql")
SOURCES: Final = tuple(f"10.{number // 250}.{number % 250}.1" for number in range(1_000))
OWNERS: Final = "192.0.2.7"
EVERY_S, SHORT_EVERY_S = 30, 120
AT_ONCE: Final = 10
"""Guesses in each half minute, two minutes in the short form; in the first all 1,000, of a control
so many."""
FIRST: Final = 200
MOST: Final = 100
"""Guesses that may be looked at in any 24 hours."""
DAY_S: Final = 86_400
CONTROL_ROUNDS: Final = 8
WIDE_S: Final = 1_200
"""So long that 100 and the first that come back are more than 100."""

PATIENT_S: Final = 60.0
"""Nobody is refused because this machine is slow."""

_SECRET: Final = "a quiet rope of seven"
_WRONG: Final = "a loud rope of seven"
_REFUSALS: Final = (InvalidCredentials, TooManyAttempts, TryLater)
"""What a guess may hear; the last when a thousand at once are more than this machine takes."""


class _OneBucket(AccountBudget):
    """The breach: the owner's network is one of all."""

    async def reserve(self, account: str, network: str | None) -> Attempt:
        return await super().reserve(account, None)


class _Refilled(AccountBudget):
    """The breach: after each login of the owner, strangers have a new bucket."""

    def __init__(self, keeper: Keeper) -> None:
        super().__init__(keeper)
        self._logins = 0

    async def reserve(self, account: str, network: str | None) -> Attempt:
        self._logins += network is not None
        return await super().reserve(f"{account} {self._logins}", network)


class _Wide(AccountBudget):
    """The breach: 100 at once, and 100 more in the same day."""

    def __init__(self, keeper: Keeper) -> None:
        super().__init__(keeper)
        self._strangers = Limit("failures by too many strangers", MOST, MOST / DAY_S)


class _OfNames(AccountBudget):
    """The breach: whoever comes by name draws on other buckets than by key."""

    async def reserve(self, account: str, network: str | None) -> Attempt:
        return await super().reserve(f"{account} by name", network)


class _Seen(NamedTuple):
    """What came of so many half minutes."""

    looked_at: list[float]
    """When each guess reached the hash, in seconds."""
    shut_out: int
    unexpected: list[str]

    @property
    def most(self) -> int:
        """How many guesses reached the hash in those 24 hours that had most."""
        return most_in(self.looked_at, DAY_S)


def most_in(times: Sequence[float], seconds: float) -> int:
    """The most of these ascending times that lie in any window of so many seconds.

    A window begins with one of them, and what lies just a window later isn't in it.
    """
    return max((bisect_left(times, t + seconds) - n for n, t in enumerate(times)), default=0)


def prove(url: str, count: int) -> Tally:
    """Guess for `count` hours on one store, from its first login on."""
    tally = Tally()
    every = EVERY_S if count >= STEP else SHORT_EVERY_S
    asyncio.run(_prove(url, count, every, tally))
    tally.tried = count
    return tally


async def _prove(url: str, hours: int, every: int, tally: Tally) -> None:
    # That is the tests' own server's.
    given = {k: v for k, v in settings(url).items() if not k.startswith("GATEBOOK_TEST_")}
    with closing(Turned(url)) as turned:
        async with running(load(given).settings) as service:
            await _try(_Guessed(service, turned, every), hours * 3600 // every, tally)


async def _try(guessed: _Guessed, rounds: int, tally: Tally) -> None:
    seen = await guessed.at("owner", rounds)
    tally.expect(seen.most <= MOST, f"{seen.most} guesses in 24 hours, at most {MOST} allowed")
    found, due = len(seen.looked_at), guessed.due(rounds)
    # But for the one that is on its way.
    tally.expect(due - 1 <= found <= due, f"{found} guesses, {due} were due")
    tally.expect(seen.shut_out == 0, f"the owner was refused {seen.shut_out} times")
    for each in seen.unexpected:
        tally.wrong(each)
    tally.count("guesses looked at", found)
    tally.figure("guesses looked at in 24 hours", seen.most)
    tally.count("logins of the owner", rounds)
    shared = await guessed.breached("shared", CONTROL_ROUNDS, _OneBucket)
    tally.control("one bucket for all", noticed=shared.shut_out > 0)
    refilled = await guessed.breached("refilled", CONTROL_ROUNDS, _Refilled)
    tally.control("a login that lets strangers go on", noticed=refilled.most > MOST)
    wide = await guessed.breached("wide", WIDE_S // guessed.every, _Wide)
    tally.control("a budget of 100 at once", noticed=wide.most > MOST)
    apart = await guessed.breached("apart", CONTROL_ROUNDS, AccountBudget, _OfNames)
    doubled = len(apart.looked_at) > guessed.due(CONTROL_ROUNDS)
    tally.control("budgets of their own by name", noticed=doubled)


class _Guessed:
    """A service that runs on the clock that is turned, and notes when a guess is hashed."""

    def __init__(self, service: Service, turned: Turned, every: int) -> None:
        self._service = service
        self._turned = turned
        self.every = every
        self._hashed: list[float] = []
        service.accounts._clock = service.proving._clock = lambda: int(turned() * SECOND)
        keeper = service.proving._accounts._keeper
        assert isinstance(keeper, MemoryKeeper | PostgresKeeper)
        keeper._patience = PATIENT_S
        if isinstance(keeper, MemoryKeeper):
            keeper._clock = turned
        verify = service.pool.verify

        async def noting(secret_hash: str | None, secret: str, *, admitted: bool = True) -> bool:
            if secret == _WRONG:
                self._hashed.append(turned())
            return await verify(secret_hash, secret, admitted=admitted)

        service.pool.verify = noting  # type: ignore[method-assign]

    def due(self, rounds: int) -> int:
        """How many guesses there is room for: what is there, and what has come back since."""
        return STRANGERS + (rounds - 1) * self.every * STRANGERS // DAY_S

    async def at(self, name: str, rounds: int) -> _Seen:
        """Guesses at a new user of the service as it is."""
        return await self._guess(self._service.accounts, name, rounds, len(SOURCES))

    async def breached(
        self,
        name: str,
        rounds: int,
        kind: type[AccountBudget],
        by_name: type[AccountBudget] | None = None,
    ) -> _Seen:
        """The same with new budgets of these kinds, of the store's keeper."""
        keeper = self._keeper()
        accounts, proving = copy(self._service.accounts), copy(self._service.proving)
        proving._sources, proving._accounts = SourceBudget(keeper), kind(keeper)
        names = copy(proving)
        names._accounts = by_name(keeper) if by_name else proving._accounts
        proving.by_name = names.by_name  # type: ignore[method-assign]
        accounts._proving = proving
        try:
            return await self._guess(accounts, name, rounds, FIRST)
        finally:
            await keeper.close()

    def _keeper(self) -> Keeper:
        if self._turned.url.startswith(SQLITE):
            return MemoryKeeper(self._turned, patience=PATIENT_S)
        secret = self._service.store.ring.network
        return PostgresKeeper(self._turned.url, secret, patience=PATIENT_S)

    async def _guess(self, accounts: Accounts, name: str, rounds: int, first: int) -> _Seen:
        """So many half minutes of guesses at a new user, who logs in at the begin of each."""
        owner = Caller(new_request_id(), OWNERS)
        user_key = await self._service.accounts.register(name, _SECRET, owner)
        shut_out, unexpected = 0, list[str]()
        self._hashed = []
        for number in range(rounds):
            try:
                await accounts.authenticate(user_key, _SECRET, owner)
            except TooManyAttempts:
                shut_out += 1
            size = AT_ONCE if number else first
            start = number * AT_ONCE
            guesses: list[Coroutine[object, object, object]] = []
            for each in range(start, start + size):
                caller = Caller(new_request_id(), SOURCES[each % len(SOURCES)])
                if each % 2:
                    guesses.append(accounts.find_user_key(name, _WRONG, caller))
                else:
                    guesses.append(accounts.authenticate(user_key, _WRONG, caller))
            ends = await asyncio.gather(*guesses, return_exceptions=True)
            unexpected += [f"a guess: {end!r}" for end in ends if not isinstance(end, _REFUSALS)]
            self._turned.on(self.every)
        return _Seen(self._hashed, shut_out, unexpected)
