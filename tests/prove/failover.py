"""The primary crashes under load and its standby takes its place: nothing acknowledged is lost.

Commits wait for the standby's disk. Two processes, whose URL names both servers, find the new
primary by themselves, and go on. Security rules 25, 27 and 30: a standby for which nobody waits has
to lose what it hadn't heard of.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Final

from tests.postgres_pair import PostgresPair
from tests.prove.changes import have_administrator
from tests.prove.in_time import BUSY_S, in_time
from tests.prove.load import Ledger, check_tokens, working
from tests.prove.proxy import Proxy
from tests.prove.restarted import go_on, told, worked
from tests.prove.stored import check_store
from tests.prove.tally import Tally
from tests.running import running, running_all, settings

PROPERTY: Final = "primary lost under load, synchronous standby promoted: nothing acknowledged lost"
SIZE: Final = 20
OF: Final = "failovers"
STEP: Final = 5
SHORT: Final = 1
STORES: Final = ("postgresql",)
WORK: Final = 60
"""Acknowledgements between two failures, at most."""
UNHEARD: Final = 20
"""Acknowledgements of which the standby that has to be found out hears nothing."""


def prove(url: str, count: int) -> Tally:
    """Fail over `count` times, between two servers of its own."""
    del url
    tally, ledger = Tally(), Ledger()
    more = 0.0 if count >= STEP else BUSY_S
    with PostgresPair() as pair:
        pair.rejoin()
        url = pair.create_database()
        have_administrator(url, ledger)
        with running_all(settings(url), settings(url)) as (one, other):
            ports = [one.port, other.port]
            asyncio.run(_fail_over(pair, ports, ledger, count, tally, more))
        check_store(url, ledger, tally)
    told(ledger, tally)
    tally.control("an asynchronous standby", noticed=_is_noticed())
    return tally


async def _fail_over(
    pair: PostgresPair, ports: list[int], ledger: Ledger, count: int, tally: Tally, more: float
) -> None:
    async with working(ports, ledger, people=8):
        for each in range(count):
            if each:
                await asyncio.to_thread(pair.rejoin)
            await worked(ledger, random.randint(1, WORK), tally)
            lost = time.monotonic()
            await asyncio.to_thread(pair.fail_over)
            tally.figure("primary lost to standby promoted, s", time.monotonic() - lost)
            await go_on(ports, ledger, tally, more)
            in_time(ledger, "without a primary", more, tally)
            tally.tried += 1
    for port in ports:
        await check_tokens(port, ledger, {*ledger.sessions, *ledger.ended}, tally)


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
