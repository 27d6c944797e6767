"""Where budgets are kept, for tests of each kind: time goes by when told, on PostgreSQL too."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from app.buckets import Claim, Expect, Hold, Limit, nobody_hurries
from app.buckets_memory import MemoryKeeper
from app.buckets_postgres import CREATE, PostgresKeeper
from domain.errors import TooManyAttempts
from tests.prove.turned import Turned
from tests.store.intruding import intrude

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from app.buckets import Keeper
    from tests.postgres import Postgres

SECRET: Final = b"the key of rows"
PATIENT: Final = 60.0
"""Seconds that nobody waits who is not about to fail."""
NARROW: Final = Limit("narrow", 3, 0.5)
WIDE: Final = Limit("wide", 5, 1.0)
LONG: Final = Limit("long", 100, 1.0)
PROBE: Final = "nobody else's"


class Place(Protocol):
    """A place where buckets are kept."""

    @property
    def keeper(self) -> Keeper:
        """There while `run` runs."""

    def run(
        self,
        work: Callable[[], Awaitable[None]],
        patience: float = PATIENT,
        expect: Expect = nobody_hurries,
    ) -> None:
        """Do it with a new keeper."""

    async def wait(self, seconds: float) -> None:
        """Let time go by."""

    async def count(self) -> int:
        """How many buckets are remembered."""

    async def settled(self) -> None:
        """Until tasks that were just made, served or cancelled have taken their steps."""


class InMemory:
    """In this process."""

    keeper: MemoryKeeper

    def __init__(self, entries: int = 16_384) -> None:
        self.clock = Turned()
        self.entries = entries

    def run(
        self,
        work: Callable[[], Awaitable[None]],
        patience: float = PATIENT,
        expect: Expect = nobody_hurries,
    ) -> None:
        async def main() -> None:
            self.keeper = MemoryKeeper(self.clock, expect, entries=self.entries, patience=patience)
            await work()

        asyncio.run(main())

    async def wait(self, seconds: float) -> None:
        self.clock.on(seconds)

    async def count(self) -> int:
        return len(self.keeper)

    async def settled(self) -> None:
        await steps()


class OnPostgres:
    """In a database whose clock stands still."""

    keeper: PostgresKeeper

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = Turned(url)
        with intrude(url) as intruder:
            intruder.run(CREATE)

    def run(
        self,
        work: Callable[[], Awaitable[None]],
        patience: float = PATIENT,
        expect: Expect = nobody_hurries,
    ) -> None:
        async def main() -> None:
            self.keeper = PostgresKeeper(self.url, SECRET, expect, patience=patience)
            try:
                await work()
            finally:
                await self.keeper.close()

        self.empty()
        asyncio.run(main())

    def empty(self) -> None:
        """Forget every bucket."""
        with intrude(self.url) as intruder:
            intruder.run("TRUNCATE budgets")

    async def wait(self, seconds: float) -> None:
        self.clock.on(seconds)

    async def count(self) -> int:
        await self.settled()
        with intrude(self.url) as intruder:
            ours = self.keeper._name(*claims(PROBE, LONG))
            ((found,),) = intruder.run("SELECT count(*) FROM budgets WHERE key <> ?", (ours,))
        assert isinstance(found, int)
        return found

    async def settled(self) -> None:
        """What comes later is looked at later, or together."""
        await seen(self.keeper)


@contextmanager
def on_postgres(server: Postgres) -> Iterator[OnPostgres]:
    """A database for many tests, one after another: making one each is slow."""
    url = server.create_database()
    place = OnPostgres(url)
    yield place
    place.clock.close()
    server.discard_database(url)


async def seen(keeper: PostgresKeeper) -> None:
    """Until a keeper has looked at all that it was asked and told before."""
    for _ in range(2):
        await steps()
        (await keeper.reserve(claims(PROBE, LONG))).give_back()
    await steps()


async def steps() -> None:
    """Let tasks that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def claims(key: str, limit: Limit) -> list[Claim]:
    """One bucket."""
    return [Claim(limit, key)]


async def spend(keeper: Keeper, key: str, times: int, limit: Limit) -> None:
    """So many places, one after another; raises `TooManyAttempts` when there are fewer."""
    for _ in range(times):
        (await keeper.reserve(claims(key, limit))).spend()


async def left(place: Place, key: str, limit: Limit) -> int:
    """How many places there are at once; gives them back."""
    holds: list[Hold] = []
    for _ in range(limit.capacity):
        waits = asyncio.ensure_future(place.keeper.reserve(claims(key, limit)))
        await place.settled()
        if not waits.done():
            waits.cancel()
            await place.settled()
            break
        if waits.exception() is not None:
            assert isinstance(waits.exception(), TooManyAttempts)
            break
        holds.append(waits.result())
    for hold in holds:
        hold.give_back()
    await place.settled()
    return len(holds)
