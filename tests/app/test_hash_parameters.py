"""What a refusal costs while hashes of several parameters are in use, and how all learn of them."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import argon2
import pytest

from app.argon2id import Argon2id, Parameters
from app.bootstrap import Service, running
from app.caller import Caller, system
from app.eventstore.log import read_head
from app.hash_parameters import HashParameters, exchange
from app.identifiers import new_request_id
from app.passwords import HashPool
from app.settings import load
from app.store import open_store, storage_of
from app.vault import Vault
from app.writer import Wish, Writer
from domain import commands
from domain.errors import InvalidCredentials, Unavailable
from domain.policy import Policy
from tests.prove.client import a_source
from tests.running import MASTER, settings
from tests.store.wishing import commit, register, user_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.store import Store
    from projections.storage import Storage

OLDEST: Final = Parameters(32, 1)
OLD: Final = Parameters(8, 2)
NEW: Final = Parameters(16, 1)
"""Neither costs the most in every way, nor comes first in the order, that is in use."""
SECRET: Final = "a quiet rope of seven"
WRONG: Final = "a loud rope of seven"
PEOPLE: Final = {
    name: parameters
    for label, parameters in (("oldest", OLDEST), ("old", OLD), ("new", NEW))
    for name in (f"{label}", f"{label}-disabled", f"{label}-erased")
}


class Costs(NamedTuple):
    """A service, and what its pool has hashed with since `of` was last asked."""

    service: Service
    hashed: list[Parameters]

    async def of(
        self, asked: str, secret: str = WRONG, *, by_name: bool = False
    ) -> list[Parameters]:
        """The parameters of each hash of a refusal, in order."""
        self.hashed.clear()
        with pytest.raises(InvalidCredentials):
            await self.log_in(asked, secret, by_name=by_name)
        return self.hashed.copy()

    async def log_in(self, asked: str, secret: str = SECRET, *, by_name: bool = False) -> None:
        accounts = self.service.accounts
        caller = Caller(new_request_id(), a_source())
        if by_name:
            await accounts.find_user_key(asked, secret, caller)
        else:
            await accounts.authenticate(asked, secret, caller)


def opened(url: str) -> Store:
    return open_store(storage_of(url), Vault(MASTER), "ES256")


def inhabited(url: str) -> None:
    """Users of each parameters, also disabled and erased, in a store that knows none yet."""
    store = opened(url)
    writer = Writer(store.log, store.vault, store.ring, Policy())
    for name, parameters in PEOPLE.items():
        hasher = argon2.PasswordHasher(parameters.time_cost, parameters.memory_kib, 1)
        commit(writer, [register(name, name, hasher.hash(SECRET))])
        if name.endswith("disabled"):
            commit(writer, [Wish(commands.DisableUser(user_key(name)), system())])
        if name.endswith("erased"):
            commit(writer, [Wish(commands.EraseUser(user_key(name)), system())])
    store.storage.close()


def serve(url: str, parameters: Parameters = NEW) -> dict[str, str]:
    given = settings(
        url, HASH_MEMORY_KIB=f"{parameters.memory_kib}", HASH_TIME=f"{parameters.time_cost}"
    )
    return {name: value for name, value in given.items() if not name.startswith("GATEBOOK_TEST_")}


def watched(service: Service) -> Costs:
    hashed: list[Parameters] = []

    class Noting(Argon2id):
        def _digest(self, secret: str, salt: bytes, memory_kib: int, time_cost: int) -> bytes:
            hashed.append(Parameters(memory_kib, time_cost))
            return super()._digest(secret, salt, memory_kib, time_cost)

    service.pool._argon2id = Noting()
    return Costs(service, hashed)


def generation(storage: Storage) -> int:
    with storage.snapshot() as rows:
        return read_head(rows).generation


@contextmanager
def pools(*wanted: Parameters) -> Iterator[list[HashPool]]:
    with ExitStack() as ending:
        made = [HashPool(threads=1, memory_kib=m, time_cost=t) for m, t in wanted]
        for each in made:
            ending.callback(each.close)
        yield made


@pytest.mark.parametrize("by_name", [False, True])
def test_every_refusal_costs_a_hash_of_each_parameters_in_use(
    database_url: str, by_name: bool
) -> None:
    """Security rule 9: whoever it is about, and whatever the secret."""
    inhabited(database_url)

    async def work() -> None:
        async with running(load(serve(database_url)).settings) as service:
            costs = watched(service)
            for each in ("oldest", "old"):  # met once, in a store of an older release
                await costs.of(user_key(each))
            name = (lambda who: who) if by_name else user_key
            found = {
                (who, secret): await costs.of(name(who), secret, by_name=by_name)
                for who in (*PEOPLE, "nobody")
                for secret in (SECRET, WRONG)
                if secret == WRONG or who not in {"oldest", "old", "new"}
            }
            # In the same order too, which is worth a hundredth of the time.
            assert {tuple(each) for each in found.values()} == {(NEW, OLD, OLDEST)}
            if not by_name:
                assert await costs.of("no key at all") == [NEW, OLD, OLDEST]

    asyncio.run(work())


def test_a_right_secret_costs_its_own_hash_once_that_is_of_today_s_parameters(
    database_url: str,
) -> None:
    """Until then those that come before it, and the one that is made anew."""
    inhabited(database_url)

    async def work() -> None:
        async with running(load(serve(database_url)).settings) as service:
            costs = watched(service)
            for who, hashed in (("new", [NEW]), ("old", [NEW, OLD, NEW]), ("old", [NEW])):
                costs.hashed.clear()
                await costs.log_in(user_key(who))
                await asyncio.gather(*service.proving._rehashing._tasks.values())
                assert costs.hashed == hashed

    asyncio.run(work())


def test_what_a_process_met_the_next_one_knows_from_its_start(database_url: str) -> None:
    """Security rule 9: nobody is the first to be told apart again."""
    inhabited(database_url)

    async def work() -> None:
        async with running(load(serve(database_url)).settings) as service:
            assert service.pool.in_use == (NEW,)
            for each in ("oldest", "old"):
                await watched(service).of(user_key(each))
            parameters = HashParameters(service.store.storage, service.pool)
            await parameters.tend((await service.lookup.head()).generation)
        async with running(load(serve(database_url, OLD)).settings) as service:
            assert await watched(service).of("nobody") == [OLD, NEW, OLDEST]

    asyncio.run(work())


def test_a_running_process_learns_what_another_adds(database_url: str) -> None:
    """When the store's generation moves, and not before: a steady store is not asked."""

    async def work() -> None:
        with pools(OLD, NEW) as (old, new):
            one, other = opened(database_url), opened(database_url)
            here = HashParameters(one.storage, old)
            there = HashParameters(other.storage, new)
            for _ in range(2):  # its own addition moves the generation too
                await here.tend(generation(one.storage))
            before = generation(one.storage)
            await there.tend(before)
            assert [*new.in_use] == [NEW, OLD]
            await here.tend(before)
            assert [*old.in_use] == [OLD]
            await here.tend(generation(one.storage))
            assert [*old.in_use] == [OLD, NEW]
            for each in (one, other):
                each.storage.close()

    asyncio.run(work())


def test_nothing_is_written_of_what_is_known(database_url: str) -> None:
    """Nor is the append lock asked for: somebody else holds it here."""
    with pools(OLD, OLD) as (pool, again):
        store, other = opened(database_url), opened(database_url)
        assert exchange(store.storage, pool) == {OLD}
        as_it_was = generation(store.storage)
        with other.storage.transaction():
            assert exchange(store.storage, pool) == {OLD}
            assert exchange(store.storage, again) == {OLD}
        assert generation(store.storage) == as_it_was
        for each in (store, other):
            each.storage.close()


def test_two_that_add_the_same_add_it_once(database_url: str) -> None:
    with pools(NEW, NEW) as (one, other):
        stores = [opened(database_url) for _ in range(2)]
        before = generation(stores[0].storage)

        async def work() -> None:
            await asyncio.gather(
                *(
                    asyncio.to_thread(exchange, store.storage, pool)
                    for store, pool in zip(stores, (one, other), strict=True)
                )
            )

        asyncio.run(work())
        assert generation(stores[0].storage) == before + 1
        for store in stores:
            store.storage.close()


def test_a_store_that_is_away_is_asked_again(sqlite_url: str) -> None:
    async def work() -> None:
        with pools(NEW) as (pool,):
            store = opened(sqlite_url)
            parameters = HashParameters(store.storage, pool)
            store.storage.close()
            for _ in range(2):
                with pytest.raises(Unavailable):
                    await parameters.tend(1)
            assert pool.in_use == (NEW,)

    asyncio.run(work())


def test_a_hash_that_can_t_be_made_is_in_nobody_s_way() -> None:
    """A damaged row names no parameters that everybody pays for."""
    with pools(NEW) as (pool,):
        damaged = argon2.PasswordHasher(1, 8, 1).hash(SECRET).replace("m=8", "m=7")

        async def work() -> None:
            with pytest.raises(Exception, match="can't be read"):
                await pool.verify(damaged, SECRET)

        asyncio.run(work())
        assert pool.in_use == (NEW,)
