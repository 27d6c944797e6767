"""A thousand addresses guess one secret for days, while its owner logs in every half minute.

The whole path of a login, on a clock that is turned by hand: budgets, look-up, hash, command. How
many guesses reach the hash in any 24 hours, whichever they are, and whether the owner ever waits
outside. Security rules 9 and 18.
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
    from collections.abc import Callable, Sequence

    from app.accounts import Accounts
    from app.bootstrap import Service
    from app.buckets import Keeper
    from app.passwords import HashPool

PROPERTY: Final = "1,000 addresses guess (hours): 100 looked at in any 24, the owner gets in"
SIZE: Final = 48
OF: Final = "hours"
STEP: Final = 48
SHORT: Final = 1
STORES: Final = ("sqlite", "postgresql")
SOURCES: Final = tuple(f"10.{number // 250}.{number % 250}.1" for number in range(1_000))
OWNERS: Final = "192.0.2.7"
EVERY_S: Final = 30
AT_ONCE: Final = 10
"""Guesses in each half minute; in the first all 1,000."""
MOST: Final = 100
"""Guesses that may be looked at in any 24 hours."""
DAY_S: Final = 86_400
CONTROL_ROUNDS: Final = 8
WIDE_ROUNDS: Final = 40
"""So long that 100 and the first that come back are more than 100."""

PATIENT_S: Final = 60.0
"""Nobody is refused because this machine is slow."""

_SECRET: Final = "a quiet rope of seven"
_WRONG: Final = "a loud rope of seven"
_REFUSALS: Final = (InvalidCredentials, TooManyAttempts, TryLater)
"""What a guess may hear; the last when a thousand at once are more than this machine takes."""


class _CountingPool:
    """A hash pool that notes when guesses reach it."""

    def __init__(self, pool: HashPool, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._clock = clock
        self.guesses: list[float] = []

    async def verify(self, secret_hash: str | None, secret: str, *, admitted: bool = True) -> bool:
        if secret == _WRONG:
            self.guesses.append(self._clock())
        return await self._pool.verify(secret_hash, secret, admitted=admitted)

    def needs_rehash(self, secret_hash: str) -> bool:
        return self._pool.needs_rehash(secret_hash)


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
    rounds = count * 3600 // EVERY_S
    asyncio.run(_prove(url, rounds, tally))
    tally.tried = count
    return tally


async def _prove(url: str, rounds: int, tally: Tally) -> None:
    # That is the tests' own server's.
    given = {k: v for k, v in settings(url).items() if not k.startswith("GATEBOOK_TEST_")}
    with closing(Turned(url)) as turned:
        async with running(load(given).settings) as service:
            await _try(service, turned, rounds, tally)


async def _try(service: Service, turned: Turned, rounds: int, tally: Tally) -> None:
    seen = await _guess(service, turned, "owner", rounds)
    tally.expect(seen.most <= MOST, f"{seen.most} guesses in 24 hours, at most {MOST} allowed")
    # What was there, and what has come back since, but for the one that is on its way.
    due = STRANGERS + (rounds - 1) * EVERY_S * STRANGERS // DAY_S
    found = len(seen.looked_at)
    tally.expect(due - 1 <= found <= due, f"{found} guesses, {due} were due")
    tally.expect(seen.shut_out == 0, f"the owner was refused {seen.shut_out} times")
    for each in seen.unexpected:
        tally.wrong(each)
    tally.count("guesses looked at", found)
    tally.figure("guesses looked at in 24 hours", seen.most)
    tally.count("logins of the owner", rounds)
    shared = await _guess(service, turned, "shared", CONTROL_ROUNDS, _OneBucket)
    tally.control("one bucket for all", noticed=shared.shut_out > 0)
    refilled = await _guess(service, turned, "refilled", CONTROL_ROUNDS, _Refilled)
    tally.control("a login that lets strangers go on", noticed=refilled.most > MOST)
    wide = await _guess(service, turned, "wide", WIDE_ROUNDS, _Wide)
    tally.control("a budget of 100 at once", noticed=wide.most > MOST)


async def _guess(
    service: Service,
    turned: Turned,
    name: str,
    rounds: int,
    kind: type[AccountBudget] = AccountBudget,
) -> _Seen:
    """Half minutes of guessing at a new user, who logs in at the begin of each."""
    owner = Caller(new_request_id(), OWNERS)
    user_key = await service.accounts.register(name, _SECRET, owner)
    keeper = _keeper(service, turned)
    accounts, pool = _counting(service, turned, keeper, kind)
    shut_out, unexpected = 0, list[str]()
    try:
        for number in range(rounds):
            try:
                await accounts.authenticate(user_key, _SECRET, owner)
            except TooManyAttempts:
                shut_out += 1
            size = AT_ONCE if number else len(SOURCES)
            start = number * AT_ONCE
            guesses = (
                accounts.authenticate(
                    user_key, _WRONG, Caller(new_request_id(), SOURCES[each % len(SOURCES)])
                )
                for each in range(start, start + size)
            )
            ends = await asyncio.gather(*guesses, return_exceptions=True)
            unexpected += [f"a guess: {end!r}" for end in ends if not isinstance(end, _REFUSALS)]
            turned.on(EVERY_S)
    finally:
        await keeper.close()
    return _Seen(pool.guesses, shut_out, unexpected)


def _keeper(service: Service, turned: Turned) -> Keeper:
    """New budgets, of the store's kind, on the clock that is turned."""
    if turned.url.startswith(SQLITE):
        return MemoryKeeper(turned, patience=PATIENT_S)
    return PostgresKeeper(turned.url, service.store.ring.network, patience=PATIENT_S)


def _counting(
    service: Service, turned: Turned, keeper: Keeper, kind: type[AccountBudget]
) -> tuple[Accounts, _CountingPool]:
    """The service's use cases with these budgets, on that clock, before a pool that counts."""
    accounts, proving = copy(service.accounts), copy(service.proving)
    pool = _CountingPool(service.pool, turned)
    proving._pool = pool  # type: ignore[assignment]
    proving._sources, proving._accounts = SourceBudget(keeper), kind(keeper)
    accounts._proving = proving
    accounts._clock = proving._clock = lambda: int(turned() * SECOND)
    return accounts, pool
