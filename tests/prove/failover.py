"""The primary crashes under load and its standby takes its place: nothing acknowledged is lost.

Commits wait for the standby's disk. Two processes, whose URL names both servers, find the new
primary by themselves, and go on. Before every other time, which is a crash, the standby hears
nothing for a while, and who waits for it is cancelled or ended, as an impatient operator does:
PostgreSQL lets all see those commits then, and takes them for successes. The other times the
primary doesn't crash: it stands still, takes connections and says nothing. Security rules 25, 27
and 30: a standby for which nobody waits has to lose what it hadn't heard of, and so has one whose
ended waits are successes.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from tests.postgres_pair import PostgresPair
from tests.prove.changes import have_administrator
from tests.prove.in_time import BUSY_S, in_time
from tests.prove.load import EACH_CHANGE, Ledger, check_tokens, working
from tests.prove.proxy import Proxy
from tests.prove.restarted import SHORT_PAUSE_S, go_on, told, worked
from tests.prove.stored import check_store
from tests.prove.tally import Tally
from tests.running import running, running_all, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

PROPERTY: Final = "primary lost under load, synchronous standby promoted: nothing acknowledged lost"
SIZE: Final = 20
OF: Final = "failovers"
STEP: Final = 5
SHORT: Final = 1
STORES: Final = ("postgresql",)
ENDED_WAITS: Final = "ended waits"
DEMANDED: Final = (*EACH_CHANGE, ENDED_WAITS)
WORK: Final = 60
"""Acknowledgements between two failures, at most."""
FROZEN_S: Final = 8.0
"""How much longer it may take when the primary stands still: until nobody waits for it any more,
and a connection that was tried with it first."""
UNHEARD: Final = 20
"""Acknowledgements of which the standby that has to be found out hears nothing."""
UNHEARD_S: Final = 4.0
"""For how long waits are ended: twice as long as somebody is kept waiting for a 503."""
_END: Final = "SELECT pg_%s_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


def prove(url: str, count: int) -> Tally:
    """Fail over `count` times, between two servers of its own."""
    del url
    tally, ledger = Tally(), Ledger()
    more, ledger.pause_s = (0.0, 0.0) if count >= STEP else (BUSY_S, SHORT_PAUSE_S)
    with _pair() as (pair, wires):
        url = pair.create_database()
        have_administrator(url, ledger)
        with running_all(settings(url), settings(url)) as (one, other):
            ports = [one.port, other.port]
            asyncio.run(_fail_over(pair, wires, ports, ledger, count, tally, more))
        check_store(url, ledger, tally)
    tally.expect(tally.counts[ENDED_WAITS] > 0, "nobody's wait for the standby was ended")
    told(ledger, tally)
    tally.control("an asynchronous standby", noticed=_is_noticed())
    if count >= STEP:
        tally.control("an ended wait taken for success", noticed=_is_noticed_when_ended())
    return tally


@contextmanager
def _pair() -> Iterator[tuple[PostgresPair, tuple[Proxy, Proxy]]]:
    """A primary with its standby, and the wires by which each is heard when it is the primary."""
    with PostgresPair() as pair, ExitStack() as stack:
        servers = pair.primary, pair.standby
        one, other = (stack.enter_context(Proxy("127.0.0.1", each.port)) for each in servers)
        pair.through = {servers[0].port: one.port, servers[1].port: other.port}
        pair.rejoin()
        yield pair, (one, other)


async def _fail_over(
    pair: PostgresPair,
    wires: tuple[Proxy, Proxy],
    ports: list[int],
    ledger: Ledger,
    count: int,
    tally: Tally,
    more: float,
) -> None:
    async with working(ports, ledger, people=8):
        for each in range(count):
            if each:
                await asyncio.to_thread(pair.rejoin)
            await worked(ledger, random.randint(1, WORK), tally)
            if each % 2 == 0:
                tally.count(ENDED_WAITS, await _end_waits(pair, wires))
            lost, frozen = time.monotonic(), each % 2 == 1
            await asyncio.to_thread(pair.fail_over, frozen=frozen)
            for wire in wires:
                wire.mend()
            tally.figure("primary lost to standby promoted, s", time.monotonic() - lost)
            await _go_on(ports, ledger, tally, more, frozen=frozen)
            in_time(ledger, f"{'beside a frozen' if frozen else 'without a'} primary", more, tally)
            tally.tried += 1
    for port in ports:
        await check_tokens(port, ledger, {*ledger.sessions, *ledger.ended}, tally)


async def _go_on(
    ports: list[int], ledger: Ledger, tally: Tally, more: float, *, frozen: bool
) -> None:
    """Who is served by a primary that stands still has to find out first."""
    if not frozen:
        await go_on(ports, ledger, tally, more)
        return
    found = Tally()
    await go_on(ports, ledger, found, more + FROZEN_S)
    for name, seconds in found.figures.items():
        tally.figure(f"beside a frozen primary, {name}", seconds)
    for wrong in found.first:
        tally.wrong(wrong)


async def _end_waits(pair: PostgresPair, wires: tuple[Proxy, Proxy]) -> int:
    """The standby hears nothing, and whoever waits for it is cancelled or ended; how many."""
    for wire in wires:
        wire.hold()
    ended, until = 0, time.monotonic() + UNHEARD_S
    while time.monotonic() < until:
        how = random.choice(("cancel", "terminate"))
        ended += len(await asyncio.to_thread(pair.primary.psql, _END % how))
        await asyncio.sleep(random.uniform(0.0, 0.2))
    return ended


def _is_noticed_when_ended() -> bool:
    """The control: a service that takes PostgreSQL's word for it loses what it answered."""
    tally, ledger = Tally(), Ledger()
    with _pair() as (pair, wires):
        url = pair.create_database()
        with running(settings(url, TEST_DEAF="1")) as server:
            asyncio.run(_ended(pair, wires, server.port, ledger))
        pair.fail_over()
        check_store(url, ledger, tally)
    return any(each.startswith("lost: ") for each in tally.first)


async def _ended(pair: PostgresPair, wires: tuple[Proxy, Proxy], port: int, ledger: Ledger) -> None:
    async with working([port], ledger):
        await worked(ledger, UNHEARD, Tally())
        await _end_waits(pair, wires)
        await asyncio.to_thread(pair.lose_primary)


def _is_noticed() -> bool:
    """The control: what was answered before the standby had heard of it is missed."""
    tally, ledger = Tally(), Ledger()
    with PostgresPair(synchronous=False) as pair:
        with Proxy("127.0.0.1", pair.primary.port) as wire:
            pair.through = {pair.primary.port: wire.port}
            pair.rejoin()
            url = pair.create_database()
            with running(settings(url)) as server:
                asyncio.run(_work(server.port, wire, ledger))
            pair.lose_primary()
        pair.fail_over()
        check_store(url, ledger, tally)
    return any(each.startswith("lost: ") for each in tally.first)


async def _work(port: int, wire: Proxy, ledger: Ledger) -> None:
    """Of the last of it the standby hears nothing."""
    async with working([port], ledger):
        await worked(ledger, UNHEARD, Tally())
        wire.hold()
        await worked(ledger, UNHEARD, Tally())
