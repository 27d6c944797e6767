"""Work that is shared: by those who come together, and for a while; a failure by nobody else."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from app import deadline
from app.sharing import Rounds, Sharing
from domain.errors import Unavailable

KEEP = 2.0
MOST = 3


class Work:
    """Counts how often it is done; waits until it may end."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()
        self.fault: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        await self.may_end.wait()
        if self.fault is not None:
            raise self.fault
        return number


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_under_way_is_shared_and_its_result_for_a_while() -> None:
    async def share() -> None:
        work, clock = Work(), Clock()
        sharing = Sharing[str, int](KEEP, MOST, clock)
        together = asyncio.gather(*(sharing.get("a", work) for _ in range(9)))
        await asyncio.sleep(0)
        clock.now += 2 * KEEP  # it takes as long as it takes
        work.may_end.set()
        assert await together == [1] * 9
        clock.now += KEEP / 2
        assert await sharing.get("a", work) == 1
        assert await sharing.get("b", work) == 2
        clock.now += KEEP / 2
        assert await sharing.get("a", work) == 3

    asyncio.run(share())


def test_so_many_results_are_kept_and_no_more() -> None:
    async def share() -> None:
        work = Work()
        work.may_end.set()
        sharing = Sharing[int, int](KEEP, MOST, Clock())
        for each in range(MOST + 1):
            await sharing.get(each, work)
        assert [await sharing.get(each, work) for each in range(MOST, 0, -1)] == [4, 3, 2]
        assert await sharing.get(0, work) == MOST + 2

    asyncio.run(share())


def test_a_failure_is_not_kept() -> None:
    async def share() -> None:
        work = Work()
        work.fault = ValueError()
        work.may_end.set()
        sharing = Sharing[str, int](KEEP, MOST, Clock())
        together = [asyncio.create_task(sharing.get("a", work)) for _ in range(2)]
        for each in together:
            with pytest.raises(ValueError):
                await each
        work.fault = None
        assert await sharing.get("a", work) == 2

    asyncio.run(share())


def test_whoever_goes_away_takes_it_from_nobody() -> None:
    async def share() -> None:
        work = Work()
        sharing = Sharing[str, int](KEEP, MOST, Clock())
        first, second = (asyncio.create_task(sharing.get("a", work)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        work.may_end.set()
        assert await second == 1

    asyncio.run(share())


def test_who_can_wait_no_longer_is_refused_and_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Security rule 27."""
    monkeypatch.setattr(deadline, "left", lambda _: 0.01)

    async def share() -> None:
        work = Work()
        sharing = Sharing[str, int](KEEP, MOST, Clock())
        with pytest.raises(Unavailable):
            await sharing.get("a", work)
        work.may_end.set()
        assert await sharing.get("a", work) == 1

    asyncio.run(share())


def test_a_round_is_for_all_who_come_before_it_begins_and_there_is_one_at_a_time() -> None:
    async def share() -> None:
        work = Work()

        async def once() -> None:
            await work()

        rounds = Rounds(once)
        first = [rounds.next(), rounds.next()]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        later = [rounds.next(), rounds.next()]
        await asyncio.sleep(0)
        assert (len({*first}), len({*later}), len({*first, *later})) == (1, 1, 2)
        assert work.begun == 1
        work.may_end.set()
        await asyncio.gather(*first, *later)
        assert work.begun == 2

    asyncio.run(share())
