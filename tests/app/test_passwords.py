"""The hash pool: right and wrong secrets, equal cost, the bounded queue, low priority."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count

import pytest

from app.passwords import HashPool
from domain.errors import Damage, Overloaded

CHEAP = 8
"""KiB, the least that argon2 takes."""

Pool = Callable[..., HashPool]


@pytest.fixture
def make_pool() -> Iterator[Pool]:
    pools: list[HashPool] = []

    def make(**wanted: object) -> HashPool:
        settings: dict[str, object] = {"threads": 1, "memory_kib": CHEAP, "time_cost": 1}
        pools.append(HashPool(**{**settings, **wanted}))  # type: ignore[arg-type]
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


class Gate:
    """A clock that stops the pool's threads at the start of a hash until it is opened.

    It goes on by `step` seconds whenever it is read.
    """

    def __init__(self, step: int) -> None:
        self._ticks = count(step=step)
        self._open = threading.Event()
        self._reached = threading.Semaphore(0)

    def __call__(self) -> float:
        self._reached.release()
        assert self._open.wait(timeout=60)
        return float(next(self._ticks))

    async def reached(self) -> None:
        """A thread stands before the gate."""
        assert await asyncio.to_thread(self._reached.acquire, timeout=60)

    def open(self) -> None:
        self._open.set()

    def shut(self) -> None:
        while self._reached.acquire(blocking=False):
            pass
        self._open.clear()


@contextmanager
def gate(step: int = 0) -> Iterator[Gate]:
    made = Gate(step)
    try:
        yield made
    finally:
        made.open()


async def settled() -> None:
    """Let tasks that were just made or cancelled take their first steps."""
    for _ in range(5):
        await asyncio.sleep(0)


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    asyncio.run(main())


def test_the_secret_that_was_hashed_is_right_and_another_is_wrong(make_pool: Pool) -> None:
    pool = make_pool()

    async def work() -> None:
        stored = await pool.hash("correct horse")
        assert await pool.verify(stored, "correct horse")
        assert not await pool.verify(stored, "correct house")
        assert not await pool.verify(stored, "")

    run(work)


def test_secrets_of_1024_bytes_that_differ_in_the_last_one_differ(make_pool: Pool) -> None:
    """Security rule 5."""
    pool = make_pool()

    async def work() -> None:
        stored = await pool.hash("x" * 1_023 + "y")
        assert await pool.verify(stored, "x" * 1_023 + "y")
        assert not await pool.verify(stored, "x" * 1_023 + "z")

    run(work)


def test_a_hash_says_that_it_is_argon2id_with_the_pool_s_parameters(make_pool: Pool) -> None:
    pool = make_pool(memory_kib=16, time_cost=3)

    async def work() -> None:
        stored = await pool.hash("correct horse")
        assert stored.startswith("$argon2id$v=19$m=16,t=3,p=1$")
        assert stored != await pool.hash("correct horse")

    run(work)


def test_the_defaults_are_19_mib_and_two_passes() -> None:
    pool = HashPool(threads=1)

    async def work() -> None:
        assert "$m=19456,t=2,p=1$" in await pool.hash("correct horse")

    run(work)
    pool.close()


def test_nobody_s_secret_is_wrong_and_costs_what_a_wrong_one_costs(make_pool: Pool) -> None:
    """Security rule 9: in CPU time of the pool's own thread, which other load doesn't change."""
    seconds: list[float] = []
    pool = make_pool(memory_kib=4_096, time_cost=2, observe=seconds.append, clock=time.thread_time)

    async def work() -> None:
        stored = await pool.hash("correct horse")
        seconds.clear()
        for _ in range(8):
            assert not await pool.verify(None, "wrong house")
            assert not await pool.verify(stored, "wrong house")

    run(work)
    assert len(seconds) == 16
    nobody, somebody = min(seconds[::2]), min(seconds[1::2])
    assert 0.5 < nobody / somebody < 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "",
        lambda _: "not a hash",
        lambda _: "$argon2id$",
        lambda stored: stored[:-1],
        lambda stored: stored + "A",
        lambda stored: stored.replace("argon2id", "argon2i"),
        lambda stored: stored.replace("v=19", "v=16"),
        lambda stored: stored[:-3] + "!!!",
        lambda stored: stored[:-3] + "äöü",
        lambda stored: stored.replace("argon2id", "bcrypt"),
        lambda stored: stored.replace("m=8", "m=x"),
        lambda stored: stored.replace("m=8", "m=1"),
        lambda stored: stored.replace("t=1", "t=0"),
    ],
)
def test_a_malformed_stored_hash_is_damage(make_pool: Pool, spoil: Callable[[str], str]) -> None:
    pool = make_pool()

    async def work() -> None:
        spoilt = spoil(await pool.hash("correct horse"))
        with pytest.raises(Damage) as damage:
            await pool.verify(spoilt, "correct horse")
        assert "argon2" not in str(damage.value)
        assert await pool.verify(await pool.hash("correct horse"), "correct horse")

    run(work)


def test_a_hash_is_made_again_when_any_parameter_changed(make_pool: Pool) -> None:
    """Security rule 12."""
    pool = make_pool()

    async def work() -> None:
        stored = await pool.hash("correct horse")
        assert not pool.needs_rehash(stored)
        assert make_pool(time_cost=2).needs_rehash(stored)
        assert make_pool(memory_kib=16).needs_rehash(stored)
        assert await make_pool(memory_kib=16).verify(stored, "correct horse")

    run(work)
    with pytest.raises(Damage):
        pool.needs_rehash("not a hash")


def test_a_job_that_would_wait_too_long_is_refused_at_once(make_pool: Pool) -> None:
    async def work() -> None:
        with gate() as clock:
            pool = make_pool(max_wait=0.0, clock=clock)
            first = asyncio.create_task(pool.hash("first"))
            await clock.reached()
            with pytest.raises(Overloaded) as refusal:
                await pool.hash("second")
            assert refusal.value.retry_after >= 1
            assert (pool.busy, pool.queue_length) == (1, 0)
            clock.open()
            await first
            await pool.hash("third")

    run(work)


def test_a_job_whose_turn_comes_far_too_late_is_refused(make_pool: Pool) -> None:
    async def work() -> None:
        with gate() as clock:
            now = [0.0]
            pool = make_pool(clock=clock, waiting_clock=lambda: now[0])
            first = asyncio.create_task(pool.hash("first"))
            await clock.reached()
            late = asyncio.create_task(pool.hash("late"))
            await settled()
            now[0] = 4.1
            clock.open()
            await first
            with pytest.raises(Overloaded):
                await late
            assert pool.queue_length == 0
            await pool.hash("next")

    run(work)


def test_as_many_wait_as_the_longest_wait_allows(make_pool: Pool) -> None:
    """Two hashes long: with two threads that is four jobs, one of which starts at each half."""

    async def work() -> None:
        with gate() as clock:
            one_hash = make_pool().seconds_per_job
            pool = make_pool(threads=2, max_wait=2 * one_hash, clock=clock)
            jobs = [asyncio.create_task(pool.hash("secret")) for _ in range(5)]
            await clock.reached()
            await clock.reached()
            jobs.append(asyncio.create_task(pool.hash("secret")))
            await settled()
            assert (pool.busy, pool.queue_length) == (2, 4)
            with pytest.raises(Overloaded) as refusal:
                await pool.hash("secret")
            assert refusal.value.retry_after == 1
            clock.open()
            await asyncio.gather(*jobs)

    run(work)


def test_those_on_their_way_count_for_who_comes_after_them(make_pool: Pool) -> None:
    """As above: four jobs can be waiting."""

    async def work() -> None:
        with gate() as clock:
            one_hash = make_pool().seconds_per_job
            pool = make_pool(threads=2, max_wait=2 * one_hash, clock=clock)
            jobs = [asyncio.create_task(pool.hash("secret")) for _ in range(3)]
            await clock.reached()
            await clock.reached()
            pool.expect(ahead=2)
            with pytest.raises(Overloaded):
                pool.expect(ahead=3)
            clock.open()
            await asyncio.gather(*jobs)
            pool.expect(ahead=3)

    run(work)


def test_a_refusal_says_when_there_will_be_room(make_pool: Pool) -> None:
    """One hash of 100 s, as far as the clock knows, makes the estimate 10 s."""

    async def work() -> None:
        with gate(step=100) as clock:
            pool = make_pool(max_wait=2.0, clock=clock)
            clock.open()
            await pool.hash("slow")
            assert pool.seconds_per_job == pytest.approx(10.0, rel=0.01)
            clock.shut()
            first = asyncio.create_task(pool.hash("first"))
            await clock.reached()
            with pytest.raises(Overloaded) as refusal:
                await pool.hash("second")
            assert refusal.value.retry_after == 9
            clock.open()
            await first

    run(work)


def test_the_estimate_follows_what_hashes_take(make_pool: Pool) -> None:
    ticks = count(step=5)
    seconds: list[float] = []
    pool = make_pool(clock=lambda: float(next(ticks)), observe=seconds.append)

    async def work() -> None:
        for _ in range(60):
            await pool.hash("secret")

    run(work)
    assert seconds == [5.0] * 60
    assert pool.seconds_per_job == pytest.approx(5.0, rel=0.01)


def test_a_waiter_that_went_away_spends_no_hash(make_pool: Pool) -> None:
    async def work() -> None:
        seconds: list[float] = []
        with gate() as clock:
            pool = make_pool(clock=clock, observe=seconds.append)
            first = asyncio.create_task(pool.hash("first"))
            await clock.reached()
            gone = asyncio.create_task(pool.hash("gone"))
            last = asyncio.create_task(pool.hash("last"))
            await settled()
            assert pool.queue_length == 2
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
            assert pool.queue_length == 1
            clock.open()
            await first
            await last
        pool.close()
        assert len(seconds) == 2
        assert (pool.busy, pool.queue_length) == (0, 0)

    run(work)


def test_a_hash_that_runs_counts_until_its_end_though_nobody_waits(make_pool: Pool) -> None:
    async def work() -> None:
        with gate() as clock:
            pool = make_pool(max_wait=0.0, clock=clock)
            gone = asyncio.create_task(pool.hash("gone"))
            await clock.reached()
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
            assert pool.busy == 1
            with pytest.raises(Overloaded):
                await pool.hash("next")
            clock.open()
        pool.close()
        assert (pool.busy, pool.queue_length) == (0, 0)

    run(work)


def test_closing_finishes_what_runs_and_refuses_what_waits(make_pool: Pool) -> None:
    async def work() -> None:
        with gate() as clock:
            pool = make_pool(clock=clock)
            runs = asyncio.create_task(pool.hash("runs"))
            await clock.reached()
            waits = asyncio.create_task(pool.hash("waits"))
            await settled()
            closing = asyncio.create_task(asyncio.to_thread(pool.close))
            with pytest.raises(Overloaded):
                await waits
            clock.open()
            assert (await runs).startswith("$argon2id$")
            await closing
            with pytest.raises(Overloaded):
                await pool.hash("late")
            assert (pool.busy, pool.queue_length) == (0, 0)

    run(work)


@pytest.mark.skipif(sys.platform != "linux", reason="only there a thread has its own priority")
def test_the_pool_s_threads_alone_step_back(make_pool: Pool) -> None:
    priority = partial(os.getpriority, os.PRIO_PROCESS)
    before = priority(threading.get_native_id())
    seen: list[int] = []
    pool = make_pool(observe=lambda _: seen.append(priority(threading.get_native_id())))

    async def work() -> None:
        await pool.hash("secret")

    run(work)
    assert seen == [19]
    assert priority(threading.get_native_id()) == before
