"""The wire to PostgreSQL is cut, stands still or is slow: 503 in time, on by itself, nothing lost.

Another process beside it has its own wire, and goes on all the while. Keys and metadata are
answered as ever. Security rules 25 to 27. The controls: a store that lost something, and a process
that waits for its commit as long as it takes.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, Literal, get_args
from urllib.parse import urlsplit

from tests.prove.changes import have_administrator
from tests.prove.client import Client, a_source
from tests.prove.in_time import BUSY_S, REFUSED_S, in_time
from tests.prove.load import EACH_CHANGE, SECRET, Ledger, check_tokens, register, working
from tests.prove.lost_reply import proxied
from tests.prove.proxy import Proxy
from tests.prove.reads import STORELESS
from tests.prove.restarted import SHORT_PAUSE_S, go_on, told, worked
from tests.prove.stored import another, check_store, lose_the_last_registration
from tests.prove.tally import Tally
from tests.running import running_all, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

PROPERTY: Final = "PostgreSQL cut off, silent or slow: 503 in 2 s, on by itself, nothing lost"
SIZE: Final = 90
OF: Final = "disturbances"
STEP: Final = 15
SHORT: Final = 3
STORES: Final = ("postgresql",)
DEMANDED: Final = EACH_CHANGE

Way = Literal["cut", "silent", "slow"]
WAYS: Final[tuple[Way, ...]] = get_args(Way)
AWAY_S: Final = {"cut": (0.0, 3.0), "silent": (0.5, 4.0), "slow": (1.0, 3.0)}
"""For how long, at least and at most."""
DELAY_S: Final = (0.02, 0.3)
WORK: Final = 30
"""Acknowledgements between two disturbances, at most."""
BEYOND_S: Final = 0.5
"""For how much longer than anybody may wait the control's wire is slow."""
TRIES: Final = 3
SLOW_S: Final = 0.5
"""How slow it is: no wait of a registration there is too long, and all of them take ten seconds."""


def prove(url: str, count: int) -> Tally:
    """Disturb the wire of one of two processes `count` times."""
    tally, ledger = Tally(), Ledger()
    more, ledger.pause_s = (0.0, 0.0) if count >= STEP else (BUSY_S, SHORT_PAUSE_S)
    have_administrator(url, ledger)
    parts = urlsplit(url)
    target = str(parts.hostname), parts.port or 5432
    with (
        another(url) as beside,
        Proxy(*target) as proxy,
        Proxy(*target) as slow,
        running_all(
            settings(proxied(url, proxy)),
            settings(url),
            settings(proxied(beside, slow), TEST_NO_DEADLINE="1"),
        ) as (far, near, waits),
    ):

        async def both() -> None:
            # They have neither a wire nor a store in common, and need not wait for each other.
            await asyncio.gather(
                _disturbed(proxy, [far.port, near.port], ledger, count, tally, more),
                _is_noticed(slow, waits.port, tally, more),
            )

        asyncio.run(both())
    told(ledger, tally)
    check_store(url, ledger, tally)
    lose_the_last_registration(url, ledger, tally)
    return tally


async def _is_noticed(proxy: Proxy, port: int, tally: Tally, more: float) -> None:
    """The control: a process without a time limit, unless its connection broke for once."""
    heard: list[str] = []
    while len(heard) < TRIES and not (noticed := await _waited(proxy, port, more, heard)):
        pass
    tally.control("a process that waits as long as it takes", noticed=noticed)
    tally.lines += [f"the control {each}" for each in heard if not noticed]


async def _waited(proxy: Proxy, port: int, more: float, heard: list[str]) -> bool:
    """Whether who asks such a process by a wire that is too slow shows it; what he `heard`."""
    ledger, second = Ledger(), Tally()
    async with Client(port, a_source()) as client:
        # By then it is connected for writing and for reading, as any process at work is: connecting
        # has a time limit of its own, which would end what follows.
        await register(client, ledger)
        name = next(iter(ledger.names))
        await client.post("/userkey", user_id=name, user_secret=SECRET)
        proxy.slow(SLOW_S)
        asked = asyncio.create_task(register(client, ledger))
        await asyncio.sleep(REFUSED_S + more + BEYOND_S)
        proxy.mend()
        await asked
    heard.append(f"heard {dict(ledger.answers)}, at most after {ledger.slowest} s")
    in_time(ledger, "when PostgreSQL is slow", more, second)
    return second.violations > 0


async def _disturbed(
    proxy: Proxy, ports: Sequence[int], ledger: Ledger, count: int, tally: Tally, more: float
) -> None:
    async with working(ports, ledger, people=8):
        for each in range(count):
            way = WAYS[each % len(WAYS)]
            await worked(ledger, random.randint(1, WORK), tally)
            _disturb(proxy, way)
            await _unmoved(ports[0], random.uniform(*AWAY_S[way]), tally)
            proxy.mend()
            await go_on(ports, ledger, tally, more)
            in_time(ledger, f"when PostgreSQL is {way}", more, tally)
            tally.tried += 1
    for port in ports:
        await check_tokens(port, ledger, {*ledger.sessions, *ledger.ended}, tally)


def _disturb(proxy: Proxy, way: Way) -> None:
    match way:
        case "cut":
            proxy.cut()
        case "silent":
            proxy.hold()
        case "slow":
            proxy.slow(random.uniform(*DELAY_S))


async def _unmoved(port: int, seconds: float, tally: Tally) -> None:
    """So long what needs no store is answered as ever."""
    until = asyncio.get_running_loop().time() + seconds
    async with Client(port, a_source()) as client:
        while asyncio.get_running_loop().time() < until:
            for path in STORELESS:
                answer = await client.get(path)
                tally.expect(answer.status == 200, f"{path} without the store: {answer.status}")
            await asyncio.sleep(0.05)
