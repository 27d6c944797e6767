"""A request's waits end together; what it starts beside itself has time of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app import deadline
from app.deadline import LEAST, WITHIN
from app.dispatcher import Dispatcher
from app.writer import Answer
from domain.commands import EndSession
from domain.errors import Unavailable
from domain.stream import Meta

MOST = 10.0


class Clock:
    """The running loop's time, which stands still until it is told to go on."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._now = loop.time()
        loop.time = self.now  # type: ignore[method-assign]

    def now(self) -> float:
        return self._now

    def pass_by(self, seconds: float) -> None:
        self._now += seconds


def run(work: Callable[[Clock], Awaitable[None]]) -> None:
    async def within() -> None:
        await work(Clock())

    asyncio.run(within())


def test_what_isnt_a_request_waits_as_long_as_it_likes() -> None:
    async def work(clock: Clock) -> None:
        clock.pass_by(WITHIN)
        assert deadline.left(MOST) == MOST

    run(work)


def test_waits_of_a_request_share_its_time_and_each_has_a_little() -> None:
    async def work(clock: Clock) -> None:
        deadline.begin()
        assert deadline.left(MOST) == pytest.approx(WITHIN)
        assert deadline.left(0.01) == 0.01
        clock.pass_by(1.0)
        assert deadline.left(MOST) == pytest.approx(WITHIN - 1.0)
        clock.pass_by(5.0)
        assert deadline.left(MOST) == LEAST

    run(work)


def test_what_a_request_starts_has_time_of_its_own() -> None:
    async def beside() -> float:
        return deadline.left(MOST)

    async def work(clock: Clock) -> None:
        deadline.begin()
        clock.pass_by(1.0)
        assert await asyncio.create_task(beside()) == MOST
        assert deadline.left(MOST) == pytest.approx(WITHIN - 1.0)

    run(work)


def test_time_that_isnt_the_stores_doesnt_count() -> None:
    async def work(clock: Clock) -> None:
        deadline.begin()
        clock.pass_by(0.5)
        with deadline.paused():
            clock.pass_by(1.5)
        clock.pass_by(0.5)
        assert deadline.left(MOST) == pytest.approx(WITHIN - 1.0)

    run(work)


def test_pausing_means_nothing_beside_a_request() -> None:
    async def work(clock: Clock) -> None:
        with deadline.paused():
            clock.pass_by(1.0)
        assert deadline.left(MOST) == MOST

    run(work)


@pytest.mark.parametrize("waited", [0.0, 1.0])
def test_a_commit_is_waited_for_as_long_as_its_request_has_left(waited: float) -> None:
    """The writer stands still: the refusal comes at the request's end, not a whole wait later."""

    def never(wishes: object) -> list[Answer]:
        raise AssertionError(wishes)

    async def dispatch() -> None:
        loop, waits = asyncio.get_running_loop(), []
        call_later = loop.call_later

        def noted(delay: float, *rest: object) -> asyncio.TimerHandle:
            waits.append(delay)
            return call_later(0, *rest)  # type: ignore[arg-type]

        loop.call_later = noted  # type: ignore[method-assign, assignment]
        clock = Clock()
        deadline.begin()
        clock.pass_by(waited)
        dispatcher = Dispatcher(never)
        dispatcher._loop = loop
        with pytest.raises(Unavailable):
            await dispatcher.dispatch(
                EndSession("uk_a", "session", "owner"), Meta("system", "0", None)
            )
        assert waits == [pytest.approx(WITHIN - waited)]

    asyncio.run(dispatch())
