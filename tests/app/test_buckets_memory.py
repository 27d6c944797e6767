"""Buckets in memory: what is forgotten when there are too many."""

from __future__ import annotations

import asyncio

import pytest

from domain.errors import Overloaded, TooManyAttempts
from tests.app.keeping import NARROW, InMemory, claims, left, spend, steps


def test_a_full_table_stays_full_and_a_newcomer_gets_what_the_evicted_had_left() -> None:
    place = InMemory(4)

    async def work() -> None:
        for number in range(4):
            await spend(place.keeper, f"spent {number}", 3 if number else 2, NARROW)
        assert await left(place, "newcomer", NARROW) == 1
        await spend(place.keeper, "newcomer", 1, NARROW)
        assert len(place.keeper) == 4
        with pytest.raises(TooManyAttempts):
            await place.keeper.reserve(claims("spent 0", NARROW))

    place.run(work)


def test_by_filling_the_table_a_guesser_gains_nothing() -> None:
    place = InMemory(8)

    async def work() -> None:
        guesses = 0
        for number in range(1_000):
            try:
                await spend(place.keeper, f"address {number % 100}", 1, NARROW)
            except TooManyAttempts:
                continue
            guesses += 1
        assert guesses == 8 * NARROW.capacity

    place.run(work)


def test_a_bucket_with_places_in_flight_is_not_evicted() -> None:
    place = InMemory(2)

    async def work() -> None:
        holds = [await place.keeper.reserve(claims("in flight", NARROW)) for _ in range(3)]
        for number in range(NARROW.capacity):  # each starts with what the one before left
            await spend(place.keeper, f"other {number}", 1, NARROW)
        assert len(place.keeper) == 2
        waits = asyncio.ensure_future(place.keeper.reserve(claims("in flight", NARROW)))
        await steps()
        assert not waits.done()
        for hold in holds:
            hold.spend()
        with pytest.raises(TooManyAttempts):
            await waits

    place.run(work)


def test_who_would_wait_too_long_hears_that_the_service_is_busy() -> None:
    place = InMemory()

    async def work() -> None:
        holds = [await place.keeper.reserve(claims("a", NARROW)) for _ in range(3)]
        with pytest.raises(Overloaded):
            await place.keeper.reserve(claims("a", NARROW))
        for hold in holds:
            hold.give_back()
        assert await left(place, "a", NARROW) == 3

    place.run(work, patience=0.0)
