"""The hash pool: argon2id in a few low-priority threads behind a bounded queue.

Knows nothing of users: it hashes and compares prepared secrets (`domain.user_secret`). The
methods that are awaited belong to the event loop; the work is done in the pool's threads.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import math
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import (
    HashingError,
    InvalidHashError,
    VerificationError,
    VerifyMismatchError,
)
from argon2.low_level import ARGON2_VERSION, error_to_str

from domain.errors import Damage, Overloaded

T = TypeVar("T")

_NICENESS: Final = 19
_WEIGHT: Final = 0.1
"""Of the newest hash in the moving estimate."""
_FIRST_GUESS: Final = 0.025 / (19_456 * 2)
"""Seconds per KiB and pass, before anything is measured."""
TOO_LATE: Final = 2
"""How many times `max_wait` a job may have waited when its turn comes, for it to be done still."""
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_OUT_OF_MEMORY: Final = error_to_str(-22)  # ARGON2_MEMORY_ALLOCATION_ERROR in argon2.h


class HashPool:
    """Hashes and verifies secrets off the loop, and refuses at once what it can't do in time.

    `memory_kib` and `time_cost` are argon2id's m and t (RFC 9106 §3.1), p is 1. `max_wait` is
    how many seconds a job may be expected to wait before it starts. `observe` hears the seconds
    of every hash, from the pool's threads. `clock` and `waiting_clock`, which time hashes and
    waiting, return seconds and never go back.
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
        self._hasher = PasswordHasher(
            time_cost=time_cost,
            memory_cost=memory_kib,
            parallelism=1,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
            type=Type.ID,
        )
        self._nobody = _hash_of_nothing(memory_kib, time_cost)
        self._executor = ThreadPoolExecutor(threads, "hash", initializer=_step_back)
        # Guards the three below: the loop's thread and the pool's write them.
        self._lock = threading.Lock()
        self._outstanding = 0
        self._busy = 0
        self._seconds_per_hash = _FIRST_GUESS * memory_kib * time_cost

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
    def seconds_per_hash(self) -> float:
        """The moving estimate that waiting is reckoned with."""
        return self._seconds_per_hash

    async def hash(self, secret: str) -> str:
        """The encoded argon2id hash of a prepared secret; raises `Overloaded`."""
        return await self._run(partial(self._make_hash, secret))

    async def verify(self, secret_hash: str | None, secret: str) -> bool:
        """Whether the prepared secret is the one that was hashed, compared in constant time.

        None, for a user that there isn't, costs a hash of the pool's parameters and is False.
        Raises `Overloaded`, and `Damage` when the stored hash is malformed.
        """
        return await self._run(partial(self._compare, secret_hash, secret))

    def needs_rehash(self, secret_hash: str) -> bool:
        """Whether it was made with other parameters than the pool's; raises `Damage`."""
        _check_form(secret_hash)
        return self._hasher.check_needs_rehash(secret_hash)

    def close(self) -> None:
        """End the threads: what runs is finished, what waits hears `Overloaded`."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        job = self._submit(work)
        try:
            # Cancelling the waiter cancels the job, which then never starts; one that runs
            # already is finished and counted as busy until then.
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise Overloaded from None  # `close` cancelled the job, nobody the waiter

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        with self._lock:
            # A job starts when so many others have ended that a thread is free.
            ahead = max(0, self._outstanding - self._threads + 1)
            wait = ahead * self._seconds_per_hash / self._threads
            if wait > self._max_wait:
                raise Overloaded(retry_after=max(1, math.ceil(wait - self._max_wait)))
            self._outstanding += 1
        try:
            job = self._executor.submit(self._timed, work, self._waiting_clock())
        except RuntimeError:  # closed
            self._drop()
            raise Overloaded from None
        job.add_done_callback(lambda job: self._drop() if job.cancelled() else None)
        return job

    def _drop(self) -> None:
        """A job has gone without having started."""
        with self._lock:
            self._outstanding -= 1

    def _timed(self, work: Callable[[], T], asked: float) -> T:
        if self._waiting_clock() - asked > TOO_LATE * max(1.0, self._max_wait):
            # The estimate was far too low, and whoever asked has waited long enough.
            self._drop()
            raise Overloaded
        with self._lock:
            self._busy += 1
        began = self._clock()
        try:
            return work()
        finally:
            seconds = self._clock() - began
            with self._lock:
                self._busy -= 1
                self._outstanding -= 1
                self._seconds_per_hash += _WEIGHT * (seconds - self._seconds_per_hash)
            if self._observe is not None:
                self._observe(seconds)

    def _make_hash(self, secret: str) -> str:
        try:
            return self._hasher.hash(secret)
        except HashingError as error:
            if str(error) == _OUT_OF_MEMORY:
                raise Overloaded from None
            raise

    def _compare(self, secret_hash: str | None, secret: str) -> bool:
        stored = self._nobody if secret_hash is None else secret_hash
        _check_form(stored)
        try:
            right = self._hasher.verify(stored, secret)
        except VerifyMismatchError:
            return False
        except VerificationError as error:
            if str(error) == _OUT_OF_MEMORY:
                raise Overloaded from None
            raise _malformed() from None
        return right and secret_hash is not None


def _check_form(stored: str) -> None:
    """Refuse what no pool has ever made: to the library a cut hash is but another wrong one."""
    try:
        found = extract_parameters(stored)
    except InvalidHashError:
        raise _malformed() from None
    form = (found.type, found.version, found.salt_len, found.hash_len)
    if form != (Type.ID, ARGON2_VERSION, _SALT_BYTES, _HASH_BYTES) or not stored.isascii():
        raise _malformed()


def _hash_of_nothing(memory_kib: int, time_cost: int) -> str:
    """An encoded hash that no secret is known for; spells parameters without spending a hash."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")
        for size in (_SALT_BYTES, _HASH_BYTES)
    )
    return f"$argon2id$v={ARGON2_VERSION}$m={memory_kib},t={time_cost},p=1${salt}${digest}"


def _step_back() -> None:
    """Let the loop and the writer go first; on Linux alone a priority is a thread's own."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _malformed() -> Damage:
    return Damage("A stored secret hash can't be read. Run `gatebook audit verify`.")
