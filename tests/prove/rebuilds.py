"""Every view is rebuilt beside its live table while people are at work, killed and gone on with.

Nobody is refused for it, whoever ended a session has ended it, and what is live in the end is what
the log says. Security rule 16.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from app.eventstore.feed import LogFeed
from app.writer import Writer
from domain.policy import Policy
from projections.rebuild import Rebuild
from projections.rebuild_state import LEASE
from projections.registry import PROJECTIONS
from tests.nursery import Nursery
from tests.prove.checker import Op, check
from tests.prove.client import Client, a_source
from tests.prove.in_time import BUSY_S, in_time
from tests.prove.load import SECRET, Ledger, check_tokens, new_name, start, working
from tests.prove.rebuilds_watched import BEGAN_AGAIN, watching
from tests.prove.sessions_actor import ENDS
from tests.prove.sessions_checked import history_of
from tests.prove.stored import check_log, grant, opened
from tests.prove.tally import Tally
from tests.running import running, running_all, settings
from tests.store.wishing import commit, log_in, register, rotate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from projections.rebuild_state import State
    from tests.nursery import Born
    from tests.prove.rebuilds_watched import Watch
    from tests.running import Server

Begun = tuple[Callable[[], bool], Callable[[], None]]
"""Whether whoever rebuilds is at it, and what kills it."""

PROPERTY: Final = "rebuilt under load, killed and gone on with, nobody notices"
SIZE: Final = 20
OF: Final = "kills"
STEP: Final = 5
SHORT: Final = 4
STORES: Final = ("sqlite", "postgresql")
PAST: Final = 40_000
"""Events before anybody works, so that a rebuild takes a while."""
SHORT_PAST: Final = 2_000
REVOCATIONS: Final = 60
"""While one view is rebuilt."""
SHORT_REVOCATIONS: Final = 8
PEOPLE: Final = 4
USERS: Final = 6
PROCESSES: Final = 2
KILLED_UP_TO: Final = 1.0
"""Part of the log: a rebuild is killed where it is at most, or while it compares and swaps."""
SHORT_KILLED_UP_TO: Final = 0.6
VIEWS: Final = tuple(dict.fromkeys(each.name for each in PROJECTIONS))
ATTEMPTS: Final = 20
KILLED: Final = "rebuilds killed at work"


def prove(url: str, count: int) -> Tally:
    """Kill `count` rebuilds on one store, of each view in turn; half of them a service does."""
    tally, ledger = Tally(), Ledger()
    long = count >= STEP
    more = 0.0 if long else BUSY_S
    given = settings(url, TRUSTED_PROXIES="127.0.0.0/8")
    _live(url, PAST if long else SHORT_PAST)
    order = random.sample(VIEWS, len(VIEWS))
    names = [order[number % len(order)] for number in range(count)]
    by_hand, served = names[count // 2 :], names[: count // 2]
    part = KILLED_UP_TO if long else SHORT_KILLED_UP_TO
    groups = [[each] for each in by_hand] if long else [by_hand]
    with running_all(*[given] * (2 if url.startswith("postgresql") else 1)) as servers:
        ports = [each.port for each in servers]
        for number, group in enumerate(groups):
            # The whole lease is waited for once; it takes a while.
            wait = LEASE / 1_000_000 if long and not number else 0
            work = asyncio.to_thread(_by_hand, url, given, group, part, wait, tally)
            revocations = REVOCATIONS if long else SHORT_REVOCATIONS
            asyncio.run(_meanwhile(work, url, ports, ledger, revocations, tally))
        for server in servers:
            _stopped(server, tally)
    for number, name in enumerate(served):
        _by_a_service(url, given, name, part, more, tally, waits=long and not number)
    _judge(ledger, more, tally)
    killed = tally.counts.get(KILLED, 0)
    tally.expect(killed == count, f"{killed} of {count} rebuilds were killed at work")
    missed = [each for each in VIEWS if f"rebuilds of {each}" not in tally.counts]
    tally.expect(not missed, f"not rebuilt: {missed}")
    tally.tried += count
    check_log(url, tally)
    _begin_anew(url, given, names[0], part, tally)
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


def _judge(ledger: Ledger, more: float, tally: Tally) -> None:
    in_time(ledger, "while a view is rebuilt", more, tally)
    for each in ledger.unexpected:
        tally.wrong(each)
    for answer, times in ledger.answers.items():
        tally.expect(not answer.endswith(" 503"), f"{times} answers of {answer}")
    tally.count("requests of people at work", ledger.answers.total())


def _by_hand(
    url: str,
    given: Mapping[str, str],
    names: Sequence[str],
    part: float,
    wait: float,
    tally: Tally,
) -> None:
    """Rebuild by the command line, kill it, and let another go on once the lease is over."""
    with watching(url) as watch:
        for name in names:
            killed = _killed(watch, name, part, partial(_at_hand, given, name), tally)
            time.sleep(wait)
            if not wait:
                _expire(url)
            started = time.perf_counter()
            with _started(given, name) as process:
                watch.follows(killed, lambda: process.poll() is not None, tally)
                _judge_process(process, name, tally)
            tally.figure("seconds of a rebuild", time.perf_counter() - started)
            tally.count(f"rebuilds of {name}")


def _by_a_service(
    url: str,
    given: Mapping[str, str],
    name: str,
    part: float,
    more: float,
    tally: Tally,
    *,
    waits: bool,
) -> None:
    """Begin a rebuild over HTTP and kill the service; the next one goes on with it by itself."""
    ledger = Ledger()
    with watching(url) as watch:
        killed = _killed(
            watch, name, part, lambda: _at_work(url, given, name, watch, ledger), tally
        )
        if not waits:
            _expire(url)
        with running(given) as server:
            with _people(server.port, ledger):
                watch.follows(killed, lambda: watch.state() is None, tally)
            sessions = {*ledger.sessions, *ledger.ended}
            asyncio.run(check_tokens(server.port, ledger, sessions, tally))
            _stopped(server, tally)
            tally.expect(b'"rebuilt"' in server.said, f"{name}: the service told of no rebuild")
    tally.count("killed services that rebuilt")
    tally.count(f"rebuilds of {name}")
    _judge(ledger, more, tally)


def _killed(
    watch: Watch,
    name: str,
    part: float,
    begun: Callable[[], AbstractContextManager[Begun]],
    tally: Tally,
) -> State:
    """Where a rebuild was that was killed at work; one that was too quick is begun again."""
    for _ in range(ATTEMPTS):
        place = watch.place(part)
        with begun() as (alive, kill):
            watch.passes(place, alive)
            kill()
        left = watch.state_left()
        if left is not None and left.name == name and left.position >= place:
            tally.count(KILLED)
            return left
    raise RuntimeError(f"no rebuild of {name} could be killed at work")


@contextmanager
def _at_hand(given: Mapping[str, str], name: str) -> Iterator[Begun]:
    with _started(given, name) as process:
        yield (lambda: process.poll() is None), process.kill


@contextmanager
def _at_work(
    url: str, given: Mapping[str, str], name: str, watch: Watch, ledger: Ledger
) -> Iterator[Begun]:
    """A service with people at work, which was asked for a rebuild over HTTP."""
    with running(given) as server, _people(server.port, ledger):
        asyncio.run(_ask(server.port, url, name))
        yield (lambda: watch.state() is not None), server.kill


async def _ask(port: int, url: str, name: str) -> None:
    async with Client(port, a_source()) as client:
        answer = await client.post("/register", user_id=new_name(), user_secret=SECRET)
        operator = str(answer.json["user_key"])
        await asyncio.to_thread(grant, url, operator, "projections:read", "projections:write")
        token = (await start(client, operator)).access_token
        headers = {"authorization": f"Bearer {token}"}
        answer = await client.send("POST", f"/projections/{name}/rebuild", b"{}", headers)
    if answer.status != 202:
        raise RuntimeError(f"no rebuild of {name} was begun: {answer}")


@contextmanager
def _people(port: int, ledger: Ledger) -> Iterator[None]:
    """People at work on a service, which may be killed, in a thread of theirs."""
    over = threading.Event()

    async def work() -> None:
        async with working([port], ledger, PEOPLE):
            await asyncio.to_thread(over.wait)

    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(asyncio.run, work())
        try:
            yield
        finally:
            over.set()
        ended.result()


def _judge_process(process: Born, name: str, tally: Tally) -> None:
    process.kill()
    code, said = process.wait(), process.stdout.read()
    tally.expect(code == 0, f"rebuild of {name}: {code}, {said[-300:]!r}")
    tally.expect(b"was wrong" not in said, f"the live table of {name} was not the log's: {said!r}")


def _stopped(server: Server, tally: Tally) -> None:
    tally.expect(server.stop() == 0, "a server did not stop in order")
    faults = [line for line in server.said.splitlines() if b'"error"' in line]
    tally.expect(not faults, f"the service's log: {faults[:1]}")


def _expire(url: str) -> None:
    """Let no time pass, as it does in the long form."""
    with opened(url) as store, store.storage.transaction() as rows:
        rows.execute("UPDATE rebuilds SET lease_until = 0")
        rows.commit()


@contextmanager
def _started(given: Mapping[str, str], name: str) -> Iterator[Born]:
    """`gatebook projections rebuild`; killed at the end, if it hasn't ended."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("GATEBOOK_")}
    command = {"GATEBOOK_TEST_AS_COMMAND": f"projections rebuild {name}"}
    process = Nursery.of_this_process().bear(environ | dict(given) | command)
    with process.stdin, process.stdout:
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _begin_anew(url: str, given: Mapping[str, str], name: str, part: float, tally: Tally) -> None:
    """The control: where a killed rebuild was is forgotten, so the next one begins another."""
    second = Tally()
    with watching(url) as watch:
        killed = _killed(watch, name, part, partial(_at_hand, given, name), second)
        with opened(url) as store, store.storage.transaction() as rows:
            rows.execute("DELETE FROM rebuilds")
            rows.commit()
        with _started(given, name) as process:
            watch.follows(killed, lambda: process.poll() is not None, second)
            _judge_process(process, name, tally)
    begun = any(each.startswith(BEGAN_AGAIN) for each in second.first)
    tally.control("a rebuild that begins anew", noticed=begun)


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
