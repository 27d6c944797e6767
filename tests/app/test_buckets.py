"""Token buckets with places: the laws of spending, of waiting, and of the full table."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.buckets import Claim, Hold, Limit, MemoryKeeper
from domain.errors import Overloaded, TooManyAttempts

NARROW = Limit("narrow", 3, 0.5)
WIDE = Limit("wide", 5, 1.0)


class Clock:
    """Seconds that go on when told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def claims(key: str, limit: Limit = NARROW) -> list[Claim]:
    return [Claim(limit, key)]


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    asyncio.run(main())


async def settled() -> None:
    """Let tasks that were just made, served or cancelled take their steps."""
    for _ in range(5):
        await asyncio.sleep(0)


async def spend(keeper: MemoryKeeper, key: str, times: int, limit: Limit = NARROW) -> None:
    for _ in range(times):
        (await keeper.reserve(claims(key, limit))).spend()


async def left(keeper: MemoryKeeper, key: str, limit: Limit = NARROW) -> int:
    """How many places there are at once; gives them back."""
    holds: list[Hold] = []
    for _ in range(limit.capacity):
        waits = asyncio.ensure_future(keeper.reserve(claims(key, limit)))
        await settled()
        if not waits.done():
            waits.cancel()
            await settled()
            break
        if waits.exception() is not None:
            break
        holds.append(waits.result())
    for hold in holds:
        hold.give_back()
    return len(holds)


def test_the_capacity_is_there_at_once_and_no_more() -> None:
    clock = Clock()
    keeper = MemoryKeeper(clock)

    async def work() -> None:
        await spend(keeper, "a", NARROW.capacity)
        with pytest.raises(TooManyAttempts) as refusal:
            await keeper.reserve(claims("a"))
        assert refusal.value.retry_after == 2
        assert await left(keeper, "b") == NARROW.capacity

    run(work)


def test_after_the_seconds_that_a_refusal_names_there_is_one_place_again() -> None:
    clock = Clock()
    keeper = MemoryKeeper(clock)

    async def work() -> None:
        await spend(keeper, "a", NARROW.capacity)
        clock.now += 1.9
        with pytest.raises(TooManyAttempts) as refusal:
            await keeper.reserve(claims("a"))
        assert refusal.value.retry_after == 1
        clock.now += 1
        assert await left(keeper, "a") == 1

    run(work)


def test_a_bucket_never_holds_more_than_its_capacity() -> None:
    clock = Clock()
    keeper = MemoryKeeper(clock)

    async def work() -> None:
        await spend(keeper, "a", 1)
        hold = await keeper.reserve(claims("a"))
        clock.now += 1_000
        hold.give_back()
        assert await left(keeper, "a") == NARROW.capacity
        with pytest.raises(TooManyAttempts):
            await spend(keeper, "a", NARROW.capacity + 1)

    run(work)


def test_a_hold_is_settled_once() -> None:
    keeper = MemoryKeeper(Clock())

    async def work() -> None:
        hold = await keeper.reserve(claims("a"))
        hold.spend()
        hold.give_back()
        hold.give_back()
        assert await left(keeper, "a") == NARROW.capacity - 1

    run(work)


def test_a_place_is_taken_in_all_buckets_or_in_none() -> None:
    clock = Clock()
    keeper = MemoryKeeper(clock)

    async def work() -> None:
        await spend(keeper, "w", WIDE.capacity, WIDE)
        with pytest.raises(TooManyAttempts) as refusal:
            await keeper.reserve([*claims("a"), *claims("w", WIDE)])
        assert refusal.value.retry_after == 1
        assert await left(keeper, "a") == NARROW.capacity

    run(work)


def test_a_refusal_names_the_seconds_of_the_slowest_bucket() -> None:
    keeper = MemoryKeeper(Clock())

    async def work() -> None:
        await spend(keeper, "w", WIDE.capacity, WIDE)
        await spend(keeper, "a", NARROW.capacity)
        with pytest.raises(TooManyAttempts) as refusal:
            await keeper.reserve([*claims("a"), *claims("w", WIDE)])
        assert refusal.value.retry_after == 2

    run(work)


def test_who_finds_all_places_in_flight_gets_the_next_that_comes_back() -> None:
    keeper = MemoryKeeper(Clock())

    async def work() -> None:
        holds = [await keeper.reserve(claims("a")) for _ in range(3)]
        waits = asyncio.ensure_future(keeper.reserve(claims("a")))
        await settled()
        assert not waits.done()
        holds[1].give_back()
        (await waits).give_back()

    run(work)


def test_who_waits_is_refused_when_the_last_place_in_flight_is_spent() -> None:
    keeper = MemoryKeeper(Clock())

    async def work() -> None:
        holds = [await keeper.reserve(claims("a")) for _ in range(3)]
        waits = [asyncio.ensure_future(keeper.reserve(claims("a"))) for _ in range(4)]
        await settled()
        holds.pop().spend()
        holds.pop().spend()
        await settled()
        assert not any(waiting.done() for waiting in waits)
        holds.pop().spend()
        ends = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(end) for end in ends] == [TooManyAttempts] * 4

    run(work)


def test_those_who_wait_are_served_in_their_order_and_before_newcomers() -> None:
    clock = Clock()
    keeper = MemoryKeeper(clock)

    async def work() -> None:
        holds = [await keeper.reserve(claims("a")) for _ in range(3)]
        order: list[int] = []

        async def wait(number: int) -> None:
            await keeper.reserve(claims("a"))
            order.append(number)

        tasks = [asyncio.create_task(wait(number)) for number in range(3)]
        await settled()
        clock.now += 2  # time brings a place back, and the newcomer finds it first
        tasks.append(asyncio.create_task(wait(3)))
        await settled()
        assert order == [0]
        for hold in holds:
            hold.give_back()
        await asyncio.gather(*tasks)
        assert order == [0, 1, 2, 3]

    run(work)


def test_who_is_served_at_one_bucket_goes_on_waiting_at_another() -> None:
    keeper = MemoryKeeper(Clock())

    async def work() -> None:
        at_narrow = [await keeper.reserve(claims("a")) for _ in range(NARROW.capacity)]
        at_wide = [await keeper.reserve(claims("w", WIDE)) for _ in range(WIDE.capacity)]
        waits = asyncio.ensure_future(keeper.reserve([*claims("a"), *claims("w", WIDE)]))
        await settled()
        at_narrow.pop().give_back()
        await settled()
        assert not waits.done()
        assert await left(keeper, "a") == 1
        at_wide.pop().give_back()
        (await waits).give_back()

    run(work)


def test_a_waiter_that_went_away_takes_no_place() -> None:
    keeper = MemoryKeeper(Clock())

    async def work() -> None:
        holds = [await keeper.reserve(claims("a")) for _ in range(3)]
        gone, waits = (asyncio.ensure_future(keeper.reserve(claims("a"))) for _ in range(2))
        await settled()
        gone.cancel()
        await settled()
        assert gone.cancelled()
        holds.pop().give_back()
        (await waits).give_back()
        for hold in holds:
            hold.give_back()
        assert await left(keeper, "a") == 3

    run(work)


def test_a_waiter_that_goes_away_as_it_is_served_gives_the_place_back() -> None:
    keeper = MemoryKeeper(Clock())

    async def work() -> None:
        holds = [await keeper.reserve(claims("a")) for _ in range(3)]
        gone = asyncio.ensure_future(keeper.reserve(claims("a")))
        await settled()
        for hold in holds:
            hold.give_back()
        gone.cancel()
        await settled()
        assert gone.cancelled()
        assert await left(keeper, "a") == 3
        assert len(keeper) == 0

    run(work)


def test_who_would_wait_too_long_hears_that_the_service_is_busy() -> None:
    keeper = MemoryKeeper(Clock(), patience=0.0)

    async def work() -> None:
        holds = [await keeper.reserve(claims("a")) for _ in range(3)]
        with pytest.raises(Overloaded):
            await keeper.reserve(claims("a"))
        for hold in holds:
            hold.give_back()
        assert await left(keeper, "a") == 3

    run(work)


def test_only_what_was_spent_and_has_not_come_back_takes_room() -> None:
    clock = Clock()
    keeper = MemoryKeeper(clock)

    async def work() -> None:
        for number in range(50):
            (await keeper.reserve(claims(f"right {number}"))).give_back()
        assert len(keeper) == 0
        for number in range(50):
            await spend(keeper, f"wrong {number}", 1)
        assert len(keeper) == 50
        clock.now += 2
        await spend(keeper, "later", 1)
        assert len(keeper) == 1

    run(work)


def test_refusals_take_no_room() -> None:
    keeper = MemoryKeeper(Clock())

    async def work() -> None:
        await spend(keeper, "w", WIDE.capacity, WIDE)
        for number in range(50):
            with pytest.raises(TooManyAttempts):
                await keeper.reserve([*claims(f"new {number}"), *claims("w", WIDE)])
        assert len(keeper) == 1

    run(work)


def test_a_full_table_stays_full_and_a_newcomer_gets_what_the_evicted_had_left() -> None:
    keeper = MemoryKeeper(Clock(), entries=4)

    async def work() -> None:
        for number in range(4):
            await spend(keeper, f"spent {number}", 3 if number else 2)
        assert await left(keeper, "newcomer") == 1
        await spend(keeper, "newcomer", 1)
        assert len(keeper) == 4
        with pytest.raises(TooManyAttempts):
            await keeper.reserve(claims("spent 0"))

    run(work)


def test_by_filling_the_table_a_guesser_gains_nothing() -> None:
    keeper = MemoryKeeper(Clock(), entries=8)

    async def work() -> None:
        guesses = 0
        for number in range(1_000):
            try:
                await spend(keeper, f"address {number % 100}", 1)
            except TooManyAttempts:
                continue
            guesses += 1
        assert guesses == 8 * NARROW.capacity

    run(work)


def test_a_bucket_with_places_in_flight_is_not_evicted() -> None:
    keeper = MemoryKeeper(Clock(), entries=2)

    async def work() -> None:
        holds = [await keeper.reserve(claims("in flight")) for _ in range(3)]
        for number in range(NARROW.capacity):  # each starts with what the one before left
            await spend(keeper, f"other {number}", 1)
        assert len(keeper) == 2
        waits = asyncio.ensure_future(keeper.reserve(claims("in flight")))
        await settled()
        assert not waits.done()
        for hold in holds:
            hold.spend()
        with pytest.raises(TooManyAttempts):
            await waits

    run(work)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("try"), st.integers(0, 3)),
        st.tuples(st.just("right"), st.integers(0, 9)),
        st.tuples(st.just("wrong"), st.integers(0, 9)),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("tick"), st.integers(0, 5)),
    ),
    max_size=60,
)


class History:
    """Attempts of four keys, two and two in a wide bucket, as a random list of steps says."""

    def __init__(self, *, entries: int) -> None:
        self.clock = Clock()
        self.keeper = MemoryKeeper(self.clock, entries=entries)
        self.tasks: list[asyncio.Task[None]] = []
        self.in_flight: list[tuple[int, float, Hold]] = []
        self.spent: list[tuple[int, float]] = []
        self.refused = 0

    async def attempt(self, key: int) -> None:
        wanted = [Claim(NARROW, f"narrow {key}"), Claim(WIDE, f"wide {key // 2}")]
        try:
            hold = await self.keeper.reserve(wanted)
        except TooManyAttempts:
            self.refused += 1
        else:
            self.in_flight.append((key, self.clock.now, hold))

    async def play(self, steps: list[tuple[str, int]]) -> None:
        for step, number in steps:
            if step == "try":
                self.tasks.append(asyncio.create_task(self.attempt(number)))
            elif step == "tick":
                self.clock.now += number
            elif step == "leave" and self.tasks:
                self.tasks[number % len(self.tasks)].cancel()
            elif self.in_flight and step in {"right", "wrong"}:
                self.settle(number % len(self.in_flight), right=step == "right")
            await settled()

    def settle(self, which: int, *, right: bool) -> None:
        key, since, hold = self.in_flight.pop(which)
        if right:
            hold.give_back()
        else:
            hold.spend()
            self.spent.append((key, since))

    async def finish(self, *, right: bool) -> None:
        """Settle all that is in flight, and all that this lets in; nobody waits afterwards."""
        while self.in_flight:
            self.settle(0, right=right)
            await settled()
        assert all(task.done() for task in self.tasks)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_nobody_spends_more_than_the_budget_in_any_span_of_time(
    steps: list[tuple[str, int]],
) -> None:
    async def work() -> None:
        history = History(entries=100)
        await history.play(steps)
        await history.finish(right=False)
        for limit, sharing in ((NARROW, 1), (WIDE, 2)):
            for bucket in range(4):
                times = sorted(at for key, at in history.spent if key // sharing == bucket)
                for first, begin in enumerate(times):
                    for last, end in enumerate(times[first:], start=1):
                        assert last <= limit.capacity + limit.per_second * (end - begin) + 1e-6

    run(work)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(1, 4))
def test_right_attempts_never_refuse_one_another(
    steps: list[tuple[str, int]], entries: int
) -> None:
    """Security rule 18: however many there are at once, and however small the table."""

    async def work() -> None:
        history = History(entries=entries)
        await history.play([("right" if step == "wrong" else step, n) for step, n in steps])
        await history.finish(right=True)
        assert history.refused == 0
        assert len(history.keeper) == 0

    run(work)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_what_is_left_is_the_capacity_less_what_was_spent(steps: list[tuple[str, int]]) -> None:
    """While no time goes by."""

    async def work() -> None:
        history = History(entries=100)
        await history.play([(step, number) for step, number in steps if step != "tick"])
        await history.finish(right=True)
        spent = Counter(key // 2 for key, _ in history.spent)
        for bucket in range(2):
            places = await left(history.keeper, f"wide {bucket}", WIDE)
            assert places == WIDE.capacity - spent[bucket]

    run(work)
