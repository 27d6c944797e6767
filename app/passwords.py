"""The hash pool: argon2id in a few low-priority threads behind a bounded queue.

Knows nothing of users: it hashes and compares prepared secrets (`domain.user_secret`). The
methods that are awaited belong to the event loop; the work is done in the pool's threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeVar

from app import argon2id, deadline
from app.argon2id import Parameters
from domain.errors import Overloaded

T = TypeVar("T")

_NICENESS: Final = 19
_WEIGHT: Final = 0.1
"""Of the newest hash in the moving estimate."""
_FIRST_GUESS: Final = 0.025 / (19_456 * 2)
"""Seconds per KiB and pass, before anything is measured."""
TOO_LATE: Final = 2
"""How many times `max_wait` a job may have waited when its turn comes, for it to be done still."""


class HashPool:
    """Hashes and verifies secrets off the loop, and refuses at once what it can't do in time.

    `memory_kib` and `time_cost` are argon2id's m and t (RFC 9106 §3.1), p is 1. `max_wait` is
    how many seconds a job may be expected to wait before it starts. `observe` hears the seconds
    of every hash, from the pool's threads. `clock` and `waiting_clock`, which time hashes and
    waiting, return seconds and never go back.

    Stored hashes may have other parameters than the pool's. So that a refusal tells nobody whose
    they are, or that there is no hash at all, it costs one of each that is known to be in use.
    """

    def __init__(
        self,
        *,
        threads: int,
        memory_kib: int = 19_456,
        time_cost: int = 2,
        max_wait: float = 2.0,
        observe: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
        waiting_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threads = threads
        self._max_wait = max_wait
        self._observe = observe
        self._clock = clock
        self._waiting_clock = waiting_clock
        self._parameters = Parameters(memory_kib, time_cost)
        self._nobodys = argon2id.of_nothing(*self._parameters).encoded
        self._argon2id = argon2id.Argon2id()
        self._executor = ThreadPoolExecutor(threads, "hash", initializer=_step_back)
        # Guards the four below: the loop's thread and the pool's write them.
        self._lock = threading.Lock()
        self._in_use: tuple[Parameters, ...] = (self._parameters,)
        self._outstanding = 0
        self._busy = 0
        self._seconds_per_job = _FIRST_GUESS * memory_kib * time_cost

    @property
    def busy(self) -> int:
        """How many threads are hashing."""
        return self._busy

    @property
    def queue_length(self) -> int:
        """How many jobs have not started."""
        with self._lock:
            return self._outstanding - self._busy

    @property
    def seconds_per_job(self) -> float:
        """The moving estimate that waiting is reckoned with."""
        return self._seconds_per_job

    @property
    def in_use(self) -> tuple[Parameters, ...]:
        """The pool's parameters, and then all others that were met or told of, in their order."""
        return self._in_use

    def use(self, parameters: Iterable[Parameters]) -> None:
        """Learn which parameters stored hashes have; from any thread."""
        with self._lock:
            others = {*self._in_use, *parameters} - {self._parameters}
            self._in_use = (self._parameters, *sorted(others))

    def expect(self, ahead: int) -> None:
        """Raises `Overloaded` unless a job could start in time after `ahead` others yet to come."""
        with self._lock:
            self._refuse_late(ahead)

    async def hash(self, secret: str) -> str:
        """The encoded argon2id hash of a prepared secret; raises `Overloaded`."""
        return await self._run(partial(self._make_hash, secret))

    async def verify(self, secret_hash: str | None, secret: str, *, admitted: bool = True) -> bool:
        """Whether the prepared secret is the one that was hashed, compared in constant time.

        A refusal costs a hash of each parameters in use, always in the same order, whoever it is
        about: a wrong secret, one of a user who isn't `admitted` whatever it is, and None, for a
        user that there isn't. A right one ends with its own hash, which is the first if it is of
        the pool's parameters. Raises `Overloaded`, and `Damage` when the stored hash is
        malformed.
        """
        return await self._run(partial(self._compare, secret_hash, secret, admitted=admitted))

    def needs_rehash(self, secret_hash: str) -> bool:
        """Whether it was made with other parameters than the pool's; raises `Damage`."""
        return argon2id.parse(secret_hash).parameters != self._parameters

    def close(self) -> None:
        """End the threads: what runs is finished, what waits hears `Overloaded`."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def _run(self, work: Callable[[_Watch], T]) -> T:
        job = self._submit(work)
        try:
            # Cancelling the waiter cancels the job, which then never starts; one that runs
            # already is finished and counted as busy until then.
            with deadline.paused():
                return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise Overloaded from None  # `close` cancelled the job, nobody the waiter

    def _submit(self, work: Callable[[_Watch], T]) -> Future[T]:
        with self._lock:
            self._refuse_late(0)
            self._outstanding += 1
        try:
            job = self._executor.submit(self._timed, work, self._waiting_clock())
        except RuntimeError:  # closed
            self._drop()
            raise Overloaded from None
        job.add_done_callback(lambda job: self._drop() if job.cancelled() else None)
        return job

    def _refuse_late(self, ahead: int) -> None:
        """Raises `Overloaded` for a job after `ahead` others; the lock is held."""
        # It starts when so many others have ended that a thread is free.
        before = max(0, self._outstanding + ahead - self._threads + 1)
        wait = before * self._seconds_per_job / self._threads
        if wait > self._max_wait:
            raise Overloaded(retry_after=max(1, math.ceil(wait - self._max_wait)))

    def _drop(self) -> None:
        """A job has gone without having started."""
        with self._lock:
            self._outstanding -= 1

    def _timed(self, work: Callable[[_Watch], T], asked: float) -> T:
        if self._waiting_clock() - asked > TOO_LATE * max(1.0, self._max_wait):
            # The estimate was far too low, and whoever asked has waited long enough.
            self._drop()
            raise Overloaded
        with self._lock:
            self._busy += 1
        watch = _Watch(self._clock)
        try:
            return work(watch)
        finally:
            with self._lock:
                self._busy -= 1
                self._outstanding -= 1
                if watch.hashes:
                    off = sum(watch.hashes) - self._seconds_per_job
                    self._seconds_per_job += _WEIGHT * off
            if self._observe is not None:
                for seconds in watch.hashes:
                    self._observe(seconds)

    def _make_hash(self, secret: str, watch: _Watch) -> str:
        with watch.one():
            return self._argon2id.hash(secret, *self._parameters).encoded

    def _compare(
        self, secret_hash: str | None, secret: str, watch: _Watch, *, admitted: bool
    ) -> bool:
        stored = argon2id.parse(self._nobodys if secret_hash is None else secret_hash)
        in_use, right = self._in_use, False
        news = () if stored.parameters in in_use else (stored.parameters,)
        for each in (*in_use, *news):
            own = each == stored.parameters
            with watch.one():
                same = self._argon2id.verify(stored if own else argon2id.of_nothing(*each), secret)
            right = right or (own and same and secret_hash is not None)
            if right and admitted:
                break
        if news:
            self.use(news)
        return right


class _Watch:
    """The seconds of each hash of one job."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.hashes: list[float] = []

    @contextmanager
    def one(self) -> Iterator[None]:
        began = self._clock()
        try:
            yield
        finally:
            self.hashes.append(self._clock() - began)


def _step_back() -> None:
    """Let the loop and the writer go first; on Linux alone a priority is a thread's own."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
