"""The disk is full under load: 503 in time, reads go on, and so does everything afterwards.

Not one byte more is taken, in the middle of a write too; the shared memory of the write-ahead log
doesn't grow either. After it all the power fails. Security rules 25, 27 and 30: a service that has
people wait for a disk that hangs has to be found out, though the kill at the end cuts them off.
"""

from __future__ import annotations

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.prove.client import Client, a_source
from tests.prove.cuts import LIFE_S, acknowledged, live_and_cut, new_store
from tests.prove.disk import FOR_EVER, UNLIMITED
from tests.prove.in_time import BUSY_S, CUT_S, REFUSED_S, in_time
from tests.prove.io_errors import WORK, goes_on
from tests.prove.load import EACH_CHANGE, Ledger, log_in, refresh, register, working
from tests.prove.stored import lose_the_last_registration
from tests.prove.tally import Tally
from tests.running import running, settings

if TYPE_CHECKING:
    from tests.prove.cuts import Timed
    from tests.prove.disk import Disk
    from tests.running import Server

PROPERTY: Final = "a full disk: 503 within 2 s, reads go on, nothing acknowledged is lost"
SIZE: Final = 200
OF: Final = "full disks"
STEP: Final = 5
SHORT: Final = 1
STORES: Final = ("sqlite",)
DEMANDED: Final = EACH_CHANGE
ROOM: Final = (0, 400_000)
"""Bytes that are left, at least and at most."""
REFUSED: Final = (1, 40)
"""Writes of the service to the full disk."""
MOMENTS: Final = 4
"""Of each life that are cut."""


def prove(url: str, count: int) -> Tally:
    """Fill the disk `count` times."""
    tally = Tally()
    thread = ThreadPoolExecutor(1)  # it waits for the most part
    hangs = thread.submit(_hangs)
    more = 0.0 if count >= STEP else BUSY_S
    live = partial(_live, tally, more)
    ledger = live_and_cut(url, count, live, tally, MOMENTS if count >= STEP else 1)
    in_time(ledger, "on a full disk", more, tally)
    ledger.report(tally)
    lose_the_last_registration(url, ledger, tally)
    tally.control("no deadline on a disk that hangs", noticed=hangs.result())
    return tally


def _hangs() -> bool:
    """The control: whether it shows that nobody was answered until the service was killed."""
    tally, ledger = Tally(), Ledger()
    with new_store() as (url, disk):
        given = settings(url, TEST_NO_DEADLINE="1", **disk.settings)
        with running(given, disk.preloaded) as server:
            asyncio.run(_hang(server, disk, ledger))
    in_time(ledger, "on a disk that hangs", 0.0, tally)
    return bool(tally.violations)


async def _hang(server: Server, disk: Disk, ledger: Ledger) -> None:
    async with working([server.port], ledger, people=1):
        await acknowledged(ledger, 1, Tally())
        disk.control.sync_takes = FOR_EVER
        clock, (client,) = asyncio.get_running_loop().time, ledger.at_work
        # Until he has waited for longer than anybody may, or was refused as he has to be.
        while (  # noqa: ASYNC110 - it is what happens at any moment that is looked at
            not ledger.refused and clock() <= (client.asked_at or clock()) + REFUSED_S + CUT_S
        ):
            await asyncio.sleep(0.01)
        server.kill()


async def _live(tally: Tally, more: float, server: Server, disk: Disk, ledger: Timed) -> None:
    """Work with room, without, with room again; and be killed."""
    control = disk.control
    async with Client(server.port, a_source()) as reader:
        user_key = await register(reader, ledger) or ""
        token = await log_in(reader, ledger, user_key) or ""
        await refresh(reader, ledger, token)
        async with working([server.port], ledger):
            await acknowledged(ledger, ledger.acknowledged + random.randint(1, WORK), tally)
            before = control.refused_writes
            enough = before + random.randint(*REFUSED)
            control.room = random.randint(*ROOM)
            until = time.monotonic() + LIFE_S
            while control.refused_writes < enough and time.monotonic() < until:
                answer = await reader.post("/refresh", refresh_token=token)
                tally.expect(answer.status == 200, f"/refresh on a full disk: {answer.body!r}")
                await asyncio.sleep(0.002)
            tally.expect(time.monotonic() < until, f"the disk was not full in {LIFE_S} s")
            control.room = UNLIMITED
            tally.count("writes that found no room", control.refused_writes - before)
            await goes_on(server, ledger, tally, more)
            await acknowledged(ledger, ledger.acknowledged + random.randint(1, WORK), tally)
            server.kill()
