"""The laws of budgets, tried by random histories: in memory many, on PostgreSQL a few."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.buckets import Claim, Hold
from domain.errors import TooManyAttempts
from tests.app.keeping import NARROW, WIDE, InMemory, left, on_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.app.keeping import OnPostgres, Place
    from tests.postgres import Postgres

Steps = list[tuple[str, int]]
Law = Callable[["Place", Steps], Awaitable[None]]

KINDS = ("try", "try", "right", "wrong", "leave", "tick")
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

    def __init__(self, place: Place) -> None:
        self.place = place
        self.now = 0
        self.tasks: list[asyncio.Task[None]] = []
        self.in_flight: list[tuple[int, float, Hold]] = []
        self.spent: list[tuple[int, float]] = []
        self.refused = 0

    async def attempt(self, key: int) -> None:
        wanted = [Claim(NARROW, f"narrow {key}"), Claim(WIDE, f"wide {key // 2}")]
        try:
            hold = await self.place.keeper.reserve(wanted)
        except TooManyAttempts:
            self.refused += 1
        else:
            self.in_flight.append((key, self.now, hold))

    async def play(self, steps: Steps) -> None:
        for step, number in steps:
            if step == "try":
                self.tasks.append(asyncio.create_task(self.attempt(number)))
            elif step == "tick":
                self.now += number
                await self.place.wait(number)
            elif step == "leave" and self.tasks:
                self.tasks[number % len(self.tasks)].cancel()
            elif self.in_flight and step in {"right", "wrong"}:
                self.settle(number % len(self.in_flight), right=step == "right")
            await self.place.settled()

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
            await self.place.settled()
        assert all(task.done() for task in self.tasks)


async def nobody_spends_more_than_the_budget(place: Place, steps: Steps) -> None:
    """In any span of time."""
    history = History(place)
    await history.play(steps)
    await history.finish(right=False)
    for limit, sharing in ((NARROW, 1), (WIDE, 2)):
        for bucket in range(4):
            times = sorted(at for key, at in history.spent if key // sharing == bucket)
            for first, begin in enumerate(times):
                for last, end in enumerate(times[first:], start=1):
                    assert last <= limit.capacity + limit.per_second * (end - begin) + 1e-6


async def right_attempts_never_refuse_one_another(place: Place, steps: Steps) -> None:
    """Security rule 18: however many there are at once."""
    history = History(place)
    await history.play([("right" if step == "wrong" else step, n) for step, n in steps])
    await history.finish(right=True)
    assert history.refused == 0
    assert await place.count() == 0


async def what_is_left_is_the_capacity_less_what_was_spent(place: Place, steps: Steps) -> None:
    """While no time goes by."""
    history = History(place)
    await history.play([(step, number) for step, number in steps if step != "tick"])
    await history.finish(right=True)
    spent = Counter(key // 2 for key, _ in history.spent)
    for bucket in range(2):
        places = await left(place, f"wide {bucket}", WIDE)
        assert places == WIDE.capacity - spent[bucket]


LAWS = (
    nobody_spends_more_than_the_budget,
    right_attempts_never_refuse_one_another,
    what_is_left_is_the_capacity_less_what_was_spent,
)


@pytest.mark.parametrize("law", LAWS)
@settings(max_examples=60)
@given(steps=STEPS, entries=st.integers(1, 100))
def test_a_law_holds_in_memory(law: Law, steps: Steps, entries: int) -> None:
    """Small tables included, where they are: what is evicted is known to the newcomer."""
    place = InMemory(100 if law is LAWS[2] else entries)
    place.run(partial(law, place, steps))


@pytest.fixture(scope="module")
def shared(postgres: Postgres) -> Iterator[OnPostgres]:
    with on_postgres(postgres) as place:
        yield place


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("seed", range(3))
def test_a_law_holds_on_postgresql(shared: OnPostgres, law: Law, seed: int) -> None:
    rng = random.Random(seed)
    steps = [(rng.choice(KINDS), rng.randrange(10)) for _ in range(60)]
    steps = [(kind, number % 4 if kind == "try" else number) for kind, number in steps]
    shared.run(partial(law, shared, steps))
