"""Token buckets with places: the laws of spending and of waiting, wherever they are kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.buckets_postgres import SWEEP_EVERY
from domain.errors import Overloaded, TooManyAttempts
from tests.app.keeping import NARROW, WIDE, InMemory, claims, left, on_postgres, spend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.app.keeping import OnPostgres, Place
    from tests.postgres import Postgres


@pytest.fixture(scope="module")
def shared(postgres: Postgres) -> Iterator[OnPostgres]:
    with on_postgres(postgres) as place:
        yield place


@pytest.fixture(params=["memory", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    """Where budgets are kept, empty."""
    if request.param == "memory":
        return InMemory()
    found: Place = request.getfixturevalue("shared")
    return found


def test_the_capacity_is_there_at_once_and_no_more(place: Place) -> None:
    async def work() -> None:
        await spend(place.keeper, "a", NARROW.capacity, NARROW)
        with pytest.raises(TooManyAttempts) as refusal:
            await place.keeper.reserve(claims("a", NARROW))
        assert refusal.value.retry_after == 2
        assert await left(place, "b", NARROW) == NARROW.capacity

    place.run(work)


def test_after_the_seconds_that_a_refusal_names_there_is_one_place_again(place: Place) -> None:
    async def work() -> None:
        await spend(place.keeper, "a", NARROW.capacity, NARROW)
        await place.wait(1.9)
        with pytest.raises(TooManyAttempts) as refusal:
            await place.keeper.reserve(claims("a", NARROW))
        assert refusal.value.retry_after == 1
        await place.wait(1)
        assert await left(place, "a", NARROW) == 1

    place.run(work)


def test_a_bucket_never_holds_more_than_its_capacity(place: Place) -> None:
    async def work() -> None:
        await spend(place.keeper, "a", 1, NARROW)
        hold = await place.keeper.reserve(claims("a", NARROW))
        await place.wait(1_000)
        hold.give_back()
        assert await left(place, "a", NARROW) == NARROW.capacity
        with pytest.raises(TooManyAttempts):
            await spend(place.keeper, "a", NARROW.capacity + 1, NARROW)

    place.run(work)


def test_a_hold_is_settled_once(place: Place) -> None:
    async def work() -> None:
        hold = await place.keeper.reserve(claims("a", NARROW))
        hold.spend()
        hold.give_back()
        hold.give_back()
        assert await left(place, "a", NARROW) == NARROW.capacity - 1

    place.run(work)


def test_a_place_is_taken_in_all_buckets_or_in_none(place: Place) -> None:
    async def work() -> None:
        await spend(place.keeper, "w", WIDE.capacity, WIDE)
        with pytest.raises(TooManyAttempts) as refusal:
            await place.keeper.reserve([*claims("a", NARROW), *claims("w", WIDE)])
        assert refusal.value.retry_after == 1
        assert await left(place, "a", NARROW) == NARROW.capacity

    place.run(work)


def test_a_refusal_names_the_seconds_of_the_slowest_bucket(place: Place) -> None:
    async def work() -> None:
        await spend(place.keeper, "w", WIDE.capacity, WIDE)
        await spend(place.keeper, "a", NARROW.capacity, NARROW)
        with pytest.raises(TooManyAttempts) as refusal:
            await place.keeper.reserve([*claims("a", NARROW), *claims("w", WIDE)])
        assert refusal.value.retry_after == 2

    place.run(work)


def test_who_finds_all_places_in_flight_gets_the_next_that_comes_back(place: Place) -> None:
    async def work() -> None:
        holds = [await place.keeper.reserve(claims("a", NARROW)) for _ in range(3)]
        waits = asyncio.ensure_future(place.keeper.reserve(claims("a", NARROW)))
        await place.settled()
        assert not waits.done()
        holds[1].give_back()
        (await waits).give_back()

    place.run(work)


def test_who_would_hear_too_late_is_refused_at_once_and_nobody_else(place: Place) -> None:
    """Those who wait at one bucket keep nobody from waiting at another."""
    most = [2]

    def expect(ahead: int) -> None:
        if ahead >= most[0]:
            raise Overloaded(retry_after=7)

    async def work() -> None:
        full = [claims("a", NARROW), claims("b", NARROW)]
        holds = [await place.keeper.reserve(each) for each in full for _ in range(3)]
        first = [asyncio.ensure_future(place.keeper.reserve(full[0])) for _ in range(2)]
        await place.settled()
        with pytest.raises(Overloaded) as refusal:
            await place.keeper.reserve(full[0])
        assert refusal.value.retry_after == 7
        other = asyncio.ensure_future(place.keeper.reserve(full[1]))
        await place.settled()
        most[0] = 0
        await place.settled()  # it was in time when they came: they go on waiting
        assert not any(each.done() for each in [*first, other])
        for hold in holds:
            hold.give_back()
        for hold in await asyncio.gather(*first, other):
            hold.give_back()
        assert await left(place, "a", NARROW) == NARROW.capacity

    place.run(work, expect=expect)


def test_who_waits_is_refused_when_the_last_place_in_flight_is_spent(place: Place) -> None:
    async def work() -> None:
        holds = [await place.keeper.reserve(claims("a", NARROW)) for _ in range(3)]
        waits = [asyncio.ensure_future(place.keeper.reserve(claims("a", NARROW))) for _ in range(4)]
        await place.settled()
        holds.pop().spend()
        holds.pop().spend()
        await place.settled()
        assert not any(waiting.done() for waiting in waits)
        holds.pop().spend()
        ends = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(end) for end in ends] == [TooManyAttempts] * 4

    place.run(work)


def test_those_who_wait_are_served_in_their_order_and_before_newcomers(place: Place) -> None:
    async def work() -> None:
        holds = [await place.keeper.reserve(claims("a", NARROW)) for _ in range(3)]
        order: list[int] = []

        async def wait(number: int) -> None:
            await place.keeper.reserve(claims("a", NARROW))
            order.append(number)

        tasks = [asyncio.create_task(wait(number)) for number in range(3)]
        await place.settled()
        await place.wait(2)  # time brings a place back, and the newcomer finds it first
        tasks.append(asyncio.create_task(wait(3)))
        await place.settled()
        assert order == [0]
        for hold in holds:
            hold.give_back()
        await asyncio.gather(*tasks)
        assert order == [0, 1, 2, 3]

    place.run(work)


def test_who_is_served_at_one_bucket_goes_on_waiting_at_another(place: Place) -> None:
    async def work() -> None:
        at_narrow = [
            await place.keeper.reserve(claims("a", NARROW)) for _ in range(NARROW.capacity)
        ]
        at_wide = [await place.keeper.reserve(claims("w", WIDE)) for _ in range(WIDE.capacity)]
        waits = asyncio.ensure_future(
            place.keeper.reserve([*claims("a", NARROW), *claims("w", WIDE)])
        )
        await place.settled()
        at_narrow.pop().give_back()
        await place.settled()
        assert not waits.done()
        assert await left(place, "a", NARROW) == 1
        at_wide.pop().give_back()
        (await waits).give_back()

    place.run(work)


def test_a_waiter_that_went_away_takes_no_place(place: Place) -> None:
    async def work() -> None:
        holds = [await place.keeper.reserve(claims("a", NARROW)) for _ in range(3)]
        gone, waits = (
            asyncio.ensure_future(place.keeper.reserve(claims("a", NARROW))) for _ in range(2)
        )
        await place.settled()
        gone.cancel()
        await place.settled()
        assert gone.cancelled()
        holds.pop().give_back()
        (await waits).give_back()
        for hold in holds:
            hold.give_back()
        assert await left(place, "a", NARROW) == 3

    place.run(work)


def test_a_waiter_that_goes_away_as_it_is_served_gives_the_place_back(place: Place) -> None:
    async def work() -> None:
        holds = [await place.keeper.reserve(claims("a", NARROW)) for _ in range(3)]
        gone = asyncio.ensure_future(place.keeper.reserve(claims("a", NARROW)))
        await place.settled()
        for hold in holds:
            hold.give_back()
        gone.cancel()
        await place.settled()
        assert gone.cancelled()
        assert await left(place, "a", NARROW) == 3
        assert await place.count() == 0

    place.run(work)


def test_only_what_was_spent_and_has_not_come_back_takes_room(place: Place) -> None:
    async def work() -> None:
        for number in range(50):
            (await place.keeper.reserve(claims(f"right {number}", NARROW))).give_back()
        assert await place.count() == 0
        for number in range(50):
            await spend(place.keeper, f"wrong {number}", 1, NARROW)
        assert await place.count() == 50
        await place.wait(SWEEP_EVERY)
        await spend(place.keeper, "later", 1, NARROW)
        assert await place.count() == 1

    place.run(work)


def test_refusals_take_no_room(place: Place) -> None:
    async def work() -> None:
        await spend(place.keeper, "w", WIDE.capacity, WIDE)
        for number in range(50):
            with pytest.raises(TooManyAttempts):
                await place.keeper.reserve([*claims(f"new {number}", NARROW), *claims("w", WIDE)])
        assert await place.count() == 1

    place.run(work)
