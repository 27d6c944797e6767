"""Bare argon2-cffi to compare with: threads that verify right secrets, one after another.

`python -m tests.benchmarks.verifying` takes the number of threads and the hash's parameters from
the service's settings, as the service does. For each line on its stdin, a number of seconds, it
verifies for so long and writes a line: verifications, and how many there were a second.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from argon2 import PasswordHasher

from app.settings import Settings, load
from tests.benchmarks.processes import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NICENESS: Final = 19
"""That of the service's hash threads: among busy neighbours another one gets other shares."""


class Verified(NamedTuple):
    """What one thread did."""

    verified: int
    seconds: float


class Verifying:
    """The process, seen from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def verify(self, seconds: float) -> tuple[int, float]:
        """Let it verify; how many times, and how many times a second."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process has no pipes")
        print(seconds, file=self._process.stdin, flush=True)
        count, rate = self._process.stdout.readline().split()
        return int(count), float(rate)


@contextmanager
def verifying(given: Mapping[str, str]) -> Iterator[Verifying]:
    """A process that is ready to verify; it ends with its stdin."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.verifying"],
        env=environment(given),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Verifying(process)


def hasher_of(settings: Settings) -> PasswordHasher:
    """argon2-cffi with the settings' parameters, and the lengths that the service uses."""
    return PasswordHasher(
        time_cost=settings.hash_time,
        memory_cost=settings.hash_memory_kib,
        parallelism=1,
        hash_len=32,
        salt_len=16,
    )


def verify_until(hasher: PasswordHasher, secret: str, stored: str, until: float) -> Verified:
    """Verify one secret over and over, at least once; what is begun in time is finished."""
    count, started = 0, time.perf_counter()
    while True:
        hasher.verify(stored, secret)
        count += 1
        now = time.perf_counter()
        if now >= until:
            return Verified(count, now - started)


def main() -> None:
    """Verify for as long as each line of stdin says."""
    settings = load(os.environ).settings
    hasher = hasher_of(settings)
    os.nice(_NICENESS)  # of this thread, and so of those that it starts
    users = [
        (secret := secrets.token_hex(12), hasher.hash(secret)) for _ in range(settings.hash_threads)
    ]
    with ThreadPoolExecutor(len(users)) as threads:
        for line in sys.stdin:
            until = time.perf_counter() + float(line)
            jobs = [threads.submit(verify_until, hasher, *user, until) for user in users]
            done = [job.result() for job in jobs]
            rate = sum(each.verified / each.seconds for each in done)
            print(sum(each.verified for each in done), rate, flush=True)


if __name__ == "__main__":
    main()
