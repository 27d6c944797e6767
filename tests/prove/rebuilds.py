"""Every view is rebuilt beside its live table while people are at work, killed and gone on with.

Nobody is refused for it, whoever ended a session has ended it, and what is live in the end is what
the log says. Security rule 16.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.eventstore.feed import LogFeed
from app.writer import Writer
from domain.policy import Policy
from projections.rebuild import Rebuild
from projections.rebuild_state import LEASE
from projections.registry import PROJECTIONS
from tests.prove.checker import Op, check
from tests.prove.load import Ledger, working
from tests.prove.sessions_checked import history_of
from tests.prove.sessions_client import ENDS
from tests.prove.stored import check_log, opened
from tests.prove.tally import Tally
from tests.running import running_all, settings
from tests.store.wishing import commit, log_in, register, rotate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

PROPERTY: Final = "rebuilt under load, killed and gone on with, nobody notices"
SIZE: Final = 20
STEP: Final = 5
SHORT: Final = 1
STORES: Final = ("sqlite", "postgresql")
PAST: Final = 40_000
"""Events before anybody works, so that a rebuild takes a while."""
SHORT_PAST: Final = 3_000
REVOCATIONS: Final = 60
"""While one view is rebuilt."""
SHORT_REVOCATIONS: Final = 12
PEOPLE: Final = 4
USERS: Final = 6
PROCESSES: Final = 2
KILLED_AFTER: Final = (0.4, 3.0)
"""Seconds, at least and at most, of the life of a process that rebuilds."""
PATIENCE_S: Final = 180
VIEWS: Final = ("token_lookup", "user_directory", "revocations", "daily_activity")

_ROOT: Final = Path(__file__).parent.parent.parent


def prove(url: str, count: int) -> Tally:
    """Kill `count` rebuilds on one store, of each view in turn."""
    tally, ledger = Tally(), Ledger()
    long = count >= STEP
    given = settings(url, TRUSTED_PROXIES="127.0.0.0/8")
    _live(url, PAST if long else SHORT_PAST)
    wait = LEASE / 1_000_000 if long else 0
    names = [VIEWS[number % len(VIEWS)] for number in range(count)]
    with running_all(*[given] * (2 if url.startswith("postgresql") else 1)) as servers:
        ports = [each.port for each in servers]
        for name in names:
            work = asyncio.to_thread(_rebuilt, url, given, name, wait, tally)
            revocations = REVOCATIONS if long else SHORT_REVOCATIONS
            asyncio.run(_meanwhile(work, url, ports, ledger, revocations, tally))
        for server in servers:
            tally.expect(server.stop() == 0, "a server did not stop in order")
            faults = [line for line in server.said.splitlines() if b'"error"' in line]
            tally.expect(not faults, f"the service's log: {faults[:1]}")
    _judge(ledger, tally)
    tally.tried += count
    check_log(url, tally)
    _swap_in_silence(url, tally)
    return tally


def _live(url: str, events: int) -> None:
    """A past: people with sessions, each rotated."""
    with opened(url) as store:
        writer = Writer(store.log, store.vault, store.ring, Policy())
        people = [f"past-{number}" for number in range(100)]
        commit(writer, [register(each) for each in people])
        for number in range(events // (3 * len(people))):
            commit(writer, [log_in(each, f"{number}") for each in people])
            commit(writer, [rotate(each, f"{number}") for each in people])


async def _meanwhile(
    work: Awaitable[None],
    url: str,
    ports: Sequence[int],
    ledger: Ledger,
    revocations: int,
    tally: Tally,
) -> None:
    """People work, and end sessions, for as long as the rebuild takes."""
    async with working(ports, ledger, PEOPLE):
        checked = asyncio.to_thread(history_of, url, ports, USERS, PROCESSES, revocations, ENDS)
        _, history = await asyncio.gather(work, checked)
    _judge_history(history, tally)


def _judge_history(history: Sequence[Op], tally: Tally) -> None:
    for wrong in check(history):
        tally.wrong(f"{wrong}")
    for op in history:
        tally.expect(0 < op.status < 500, f"{op.what} failed with {op.status}")
    tally.count("requests that were checked", len(history))


def _judge(ledger: Ledger, tally: Tally) -> None:
    for each in ledger.unexpected:
        tally.wrong(each)
    for answer, times in ledger.answers.items():
        tally.expect(not answer.endswith(" 503"), f"{times} answers of {answer}")
    tally.count("requests of people at work", ledger.answers.total())


def _rebuilt(url: str, given: Mapping[str, str], name: str, wait: float, tally: Tally) -> None:
    """Begin a rebuild, kill it, and let another process go on once the lease is over."""
    process = _start(given, name)
    try:
        process.wait(random.uniform(*KILLED_AFTER))
    except subprocess.TimeoutExpired:
        process.kill()
        tally.count("rebuilds killed at work")
    process.communicate()
    time.sleep(wait)
    if not wait:
        _expire(url)
    started = time.perf_counter()
    process = _start(given, name)
    try:
        _, said = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        _, said = process.communicate()
    tally.figure("seconds of a rebuild", time.perf_counter() - started)
    tally.expect(process.returncode == 0, f"rebuild of {name}: {process.returncode}, {said[-300:]}")
    tally.expect(b"was wrong" not in said, f"the live table of {name} was not the log's: {said!r}")
    tally.count("rebuilds")


def _expire(url: str) -> None:
    """Let no time pass, as it does in the long form."""
    with opened(url) as store, store.storage.transaction() as rows:
        rows.execute("UPDATE rebuilds SET lease_until = 0")
        rows.commit()


def _start(given: Mapping[str, str], name: str) -> subprocess.Popen[bytes]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("GATEBOOK_")}
    wanted = {k: v for k, v in given.items() if not k.startswith("GATEBOOK_TEST_")}
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "projections", "rebuild", name],
        env={**environ, **wanted},
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _swap_in_silence(url: str, tally: Tally) -> None:
    """The control: a swap that no writer hears of leaves the new table behind."""
    with opened(url) as store:
        writer = Writer(store.log, store.vault, store.ring, Policy())
        commit(writer, [register("before")])
        rebuild = Rebuild(store.storage, LogFeed(), PROJECTIONS, lambda _: None, "silent")
        rebuild.run(rebuild.begin("user_directory"))
        commit(writer, [register("after")])
    second = Tally()
    check_log(url, second)
    noticed = any(each.startswith("view user_directory_v1") for each in second.first)
    tally.control("a swap that nobody hears of", noticed=noticed)
