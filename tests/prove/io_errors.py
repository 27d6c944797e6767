"""Writes and syncs of the disk fail under load: 503 at worst, then everything goes on by itself.

What a failed sync was to keep may be forgotten, and no later sync brings it back, as with the page
cache of Linux. After it all the power fails: every acknowledged change has to be there. Security
rules 25, 27 and 30: a disk that fails to sync and doesn't tell has to be found out, and so has a
service that tries again, and again, while people wait.
"""

from __future__ import annotations

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.prove.client import Client, a_source
from tests.prove.cuts import LIFE_S, acknowledged, is_noticed, live_and_cut
from tests.prove.disk import A_MILLION
from tests.prove.in_time import BUSY_S, RECOVER_S, all_hear, in_time
from tests.prove.kept_waiting import INSISTS
from tests.prove.late_on_disks import writes_are_late
from tests.prove.load import EACH_CHANGE, register, working
from tests.prove.tally import Tally

if TYPE_CHECKING:
    from tests.prove.cuts import Timed
    from tests.prove.disk import Disk
    from tests.prove.load import Ledger
    from tests.running import Server

PROPERTY: Final = "writes and syncs fail with EIO: 503 only meanwhile, nothing acknowledged is lost"
SIZE: Final = 200
OF: Final = "lives"
STEP: Final = 5
SHORT: Final = 1
STORES: Final = ("sqlite",)
DEMANDED: Final = EACH_CHANGE
WRITES: Final = (0.002, 0.1)
"""How many of them fail, at least and at most; of either kind none in a third of the lives."""
SYNCS: Final = (0.05, 0.7)
FAULTS: Final = (1, 30)
"""How many there are in a life."""
WORK: Final = 20
"""Acknowledgements before, and afterwards."""
MOMENTS: Final = 4
"""Of each life that are cut."""


def prove(url: str, count: int) -> Tally:
    """Live `count` lives on a failing disk."""
    tally = Tally()
    # They have disks of their own, and the one that waits does nothing else.
    threads, fails = ThreadPoolExecutor(2), {"failing_writes": A_MILLION}
    late = threads.submit(writes_are_late, fails, INSISTS, "on a failing disk")
    untold = threads.submit(is_noticed, {}, A_MILLION)
    more = 0.0 if count >= STEP else BUSY_S
    live = partial(_live, tally, more)
    ledger = live_and_cut(url, count, live, tally, MOMENTS if count >= STEP else 1)
    in_time(ledger, "on a failing disk", more, tally)
    ledger.report(tally)
    tally.control("a sync that fails untold", noticed=untold.result())
    tally.control("a write that is tried until it succeeds", noticed=late.result())
    return tally


async def _live(tally: Tally, more: float, server: Server, disk: Disk, ledger: Timed) -> None:
    """Work on a good disk, a failing one, a good one; and be killed."""
    control = disk.control
    async with working([server.port], ledger):
        await acknowledged(ledger, ledger.acknowledged + random.randint(1, WORK), tally)
        writes, syncs = control.failed_writes, control.failed_syncs
        enough = writes + syncs + random.randint(*FAULTS)
        which = random.randrange(3)
        control.failing_writes = int(random.uniform(*WRITES) * A_MILLION) if which != 0 else 0
        control.failing_syncs = int(random.uniform(*SYNCS) * A_MILLION) if which != 1 else 0
        until = time.monotonic() + LIFE_S
        while _faults(disk) < enough and time.monotonic() < until:  # noqa: ASYNC110 - by the disk
            await asyncio.sleep(0.002)
        tally.expect(time.monotonic() < until, f"fewer than {enough} faults in {LIFE_S} s")
        control.failing_writes = control.failing_syncs = 0
        tally.count("writes that failed", control.failed_writes - writes)
        tally.count("syncs that failed", control.failed_syncs - syncs)
        await goes_on(server, ledger, tally, more)
        await acknowledged(ledger, ledger.acknowledged + random.randint(1, WORK), tally)
        server.kill()


def _faults(disk: Disk) -> int:
    """How often anything failed so far."""
    return disk.control.failed_writes + disk.control.failed_syncs


async def goes_on(server: Server, ledger: Ledger, tally: Tally, more: float) -> None:
    """Somebody registers, and the service is ready, as soon as promised."""
    began = time.monotonic()
    async with Client(server.port, a_source()) as client:
        while await register(client, ledger) is None:
            if time.monotonic() > began + LIFE_S:
                tally.wrong(f"nobody could write for {LIFE_S} s on a good disk")
                return
        wrote = time.monotonic() - began
        while (answer := await client.get("/readyz")).status != 200:
            if time.monotonic() > began + LIFE_S:
                break
            await asyncio.sleep(0.01)
    tally.expect(answer.status == 200, f"not ready on a good disk: {answer.body!r}")
    await all_hear(ledger, "on a good disk", more, tally)
    tally.figure("good disk to first success, s", wrote)
    tally.expect(wrote <= RECOVER_S + more, f"nobody could write for {wrote:.1f} s")
