"""Buckets in a table: shared by processes, and what becomes of them when one of those is gone."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from itertools import cycle
from typing import TYPE_CHECKING

import pytest

from app.buckets import Claim, Limit
from app.buckets_postgres import HOLD, PostgresKeeper
from domain.errors import InternalError, Overloaded, TooManyAttempts, Unavailable
from projections.reader_postgres import COUNTING, Reader
from tests.app.keeping import (
    LONG,
    PATIENT,
    SECRET,
    claims,
    left,
    on_postgres,
    seen,
    spend,
)
from tests.store.intruding import intrude

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from app.buckets import Keeper
    from tests.app.keeping import OnPostgres
    from tests.postgres import Postgres

SLOW = Limit("slow", 3, 0.001)
"""Gets nothing back while a test lets a minute go by."""
END_THEM = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE application_name = 'gatebook' AND datname = current_database()"""


@pytest.fixture(scope="module")
def place(postgres: Postgres) -> Iterator[OnPostgres]:
    with on_postgres(postgres) as found:
        yield found


@asynccontextmanager
async def another(place: OnPostgres, patience: float = PATIENT) -> AsyncIterator[PostgresKeeper]:
    """The keeper of another process."""
    keeper = PostgresKeeper(place.url, SECRET, patience=patience)
    try:
        yield keeper
    finally:
        await keeper.close()


def test_processes_share_a_budget(place: OnPostgres) -> None:
    async def work() -> None:
        async with another(place) as other:
            await spend(place.keeper, "a", 2, SLOW)
            await spend(other, "a", 1, SLOW)
            for keeper in (place.keeper, other):
                with pytest.raises(TooManyAttempts):
                    await keeper.reserve(claims("a", SLOW))

    place.run(work)


def test_a_place_in_flight_elsewhere_is_waited_for(place: OnPostgres) -> None:
    async def work() -> None:
        async with another(place) as other:
            holds = [await other.reserve(claims("a", SLOW)) for _ in range(3)]
            waits = asyncio.ensure_future(place.keeper.reserve(claims("a", SLOW)))
            await place.settled()
            assert not waits.done()
            holds.pop().give_back()
            (await waits).spend()
            refused = asyncio.ensure_future(place.keeper.reserve(claims("a", SLOW)))
            await place.settled()
            assert not refused.done()
            for hold in holds:
                hold.spend()
            with pytest.raises(TooManyAttempts):
                await refused

    place.run(work)


def test_1000_guesses_at_two_processes_spend_the_budget_and_no_more(place: OnPostgres) -> None:
    async def guess(keeper: Keeper) -> None:
        (await keeper.reserve(claims("a", LONG))).spend()

    async def work() -> None:
        async with another(place) as other:
            keepers = cycle((place.keeper, other))
            guesses = (guess(next(keepers)) for _ in range(1_000))
            ends = await asyncio.gather(*guesses, return_exceptions=True)
            assert sum(end is None for end in ends) == LONG.capacity
            assert sum(isinstance(end, TooManyAttempts) for end in ends) == 900

    place.run(work)


def test_right_attempts_at_two_processes_never_refuse_one_another(place: OnPostgres) -> None:
    """Security rule 18."""

    async def log_in(keeper: Keeper) -> None:
        (await keeper.reserve(claims("a", LONG))).give_back()

    async def work() -> None:
        async with another(place) as other:
            keepers = cycle((place.keeper, other))
            await asyncio.gather(*(log_in(next(keepers)) for _ in range(500)))
            await seen(other)
            assert await left(place, "a", LONG) == LONG.capacity

    place.run(work)


def test_buckets_claimed_in_any_order_never_wait_for_each_other(place: OnPostgres) -> None:
    rng = random.Random(7)
    keys = [Claim(LONG, f"key {number}") for number in range(8)]

    async def log_in(keeper: Keeper) -> None:
        (await keeper.reserve(rng.sample(keys, 4))).give_back()

    async def work() -> None:
        async with another(place) as second, another(place) as third:
            keepers = cycle((place.keeper, second, third))
            for _ in range(20):
                await asyncio.gather(*(log_in(next(keepers)) for _ in range(12)))

    place.run(work)


def test_the_places_of_a_process_that_is_gone_come_back(place: OnPostgres) -> None:
    async def work() -> None:
        async with another(place) as gone:
            for _ in range(3):
                await gone.reserve(claims("a", SLOW))
        waits = asyncio.ensure_future(place.keeper.reserve(claims("a", SLOW)))
        await place.settled()
        assert not waits.done()
        await place.wait(HOLD + 1)
        (await waits).give_back()
        assert await left(place, "a", SLOW) == 3

    place.run(work)


@pytest.mark.parametrize(("end", "spent"), [("spend", 1), ("give_back", 0), ("reset", 0)])
def test_what_is_said_of_a_place_after_it_came_back_counts(
    place: OnPostgres, end: str, spent: int
) -> None:
    async def work() -> None:
        late = await place.keeper.reserve(claims("a", SLOW))
        await place.wait(HOLD + 1)
        (await place.keeper.reserve(claims("a", SLOW))).give_back()
        getattr(late, end)()
        assert await left(place, "a", SLOW) == 3 - spent

    place.run(work)


def test_whoever_waits_too_long_hears_that_the_service_is_busy(place: OnPostgres) -> None:
    async def work() -> None:
        async with another(place, patience=0.05) as impatient:
            for _ in range(3):
                await place.keeper.reserve(claims("a", SLOW))
            while True:  # or that nobody has looked yet
                with pytest.raises((Overloaded, Unavailable)) as refusal:
                    await impatient.reserve(claims("a", SLOW))
                if refusal.type is Overloaded:
                    break

    place.run(work)


def test_while_the_table_is_out_of_reach_nobody_gets_in_and_nothing_is_forgotten(
    place: OnPostgres,
) -> None:
    """Security rule 27."""

    async def work() -> None:
        hold = await place.keeper.reserve(claims("a", SLOW))
        await spend(place.keeper, "a", 1, SLOW)
        await place.settled()
        with intrude(place.url) as intruder:
            intruder.run("ALTER TABLE budgets RENAME TO elsewhere")
            with pytest.raises(Unavailable):
                await place.keeper.reserve(claims("b", SLOW))
            hold.give_back()
            with pytest.raises(Unavailable):
                await place.keeper.reserve(claims("b", SLOW))
            intruder.run("ALTER TABLE elsewhere RENAME TO budgets")
        assert await left(place, "a", SLOW) == 2

    place.run(work)


def test_connections_that_ended_while_idle_cost_nobody_anything(place: OnPostgres) -> None:
    """Security rule 27."""

    async def work() -> None:
        for _ in range(3):
            await place.settled()
            await place.settled()
            with intrude(place.url) as intruder:
                assert len(intruder.run(END_THEM)) == 1
            (await place.keeper.reserve(claims("a", SLOW))).give_back()

    place.run(work)


def test_a_row_that_somebody_locks_refuses_its_own_and_frees_the_next(place: OnPostgres) -> None:
    async def work() -> None:
        await spend(place.keeper, "a", 1, SLOW)
        await place.settled()
        with intrude(place.url) as intruder:
            intruder.run("BEGIN")
            intruder.run("SELECT key FROM budgets FOR UPDATE")
            with pytest.raises(Unavailable):
                await place.keeper.reserve(claims("a", SLOW))
            intruder.run("ROLLBACK")
        assert await left(place, "a", SLOW) == 2

    place.run(work)


def test_a_reservation_that_fails_in_an_unforeseen_way_is_answered(place: OnPostgres) -> None:
    async def work() -> None:
        with pytest.raises(InternalError):
            await place.keeper.reserve([Claim(Limit("broken", 3, 0.0), "a")])
        assert await left(place, "a", SLOW) == 3

    place.run(work)


def test_the_table_shows_nobody_s_address(place: OnPostgres) -> None:
    """Security rule 20."""
    claim = Claim(SLOW, "4/c0000207")

    async def work() -> None:
        await spend(place.keeper, claim.key, 1, SLOW)
        await place.settled()
        with intrude(place.url) as intruder:
            rows = intruder.run("SELECT * FROM budgets WHERE in_flight = 0")
        (row,) = [row for row in rows if row[0] == place.keeper._name(claim)]
        assert {type(value) for value in row[1:]} == {int, float}
        assert isinstance(row[0], bytes)
        assert b"c0000207" not in row[0]

    place.run(work)


def test_counters_alone_don_t_wait_for_the_disk(place: OnPostgres) -> None:
    async def commits(session: str) -> object:
        reader = Reader(place.url, PATIENT, session)  # type: ignore[arg-type]
        try:
            return (await reader.fetch("SHOW synchronous_commit"))[0][0]
        finally:
            await reader.close()

    assert asyncio.run(commits(COUNTING)) == "off"
    assert asyncio.run(commits("SET TimeZone='UTC'")) == "on"
