"""The disk is full under load: 503 in time, reads go on, and so does everything afterwards.

Not one byte more is taken, in the middle of a write too; the shared memory of the write-ahead log
doesn't grow either. After it all the power fails. Security rules 25 and 27.
"""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.prove.client import Client, a_source
from tests.prove.cuts import LIFE_S, Timed, acknowledged, cut_and_reopen, make
from tests.prove.disk import UNLIMITED, Disk
from tests.prove.io_errors import BUSY_S, WORK, goes_on
from tests.prove.load import log_in, refresh, register, working
from tests.prove.stored import lose_the_last_registration
from tests.prove.tally import Tally
from tests.running import running, settings
from tests.store.intruding import SQLITE

if TYPE_CHECKING:
    from tests.running import Server

PROPERTY: Final = "a full disk: 503 within 2 s, reads go on, nothing acknowledged is lost"
SIZE: Final = 200
STEP: Final = 5
SHORT: Final = 1
STORES: Final = ("sqlite",)
ROOM: Final = (0, 400_000)
"""Bytes that are left, at least and at most."""
REFUSED: Final = (1, 40)
"""Writes of the service to the full disk."""
REFUSED_S: Final = 2.0
MOMENTS: Final = 4
"""Of each life that are cut."""


def prove(url: str, count: int) -> Tally:
    """Fill the disk `count` times."""
    tally = Tally()
    more = 0.0 if count >= STEP else BUSY_S
    with Disk(Path(url.removeprefix(SQLITE)).parent) as disk:
        ledger = Timed(disk)
        make(url, disk, tally)
        for _ in range(count):
            disk.begin()
            ledger.begin()
            with running(settings(url, **disk.settings), disk.preloaded) as server:
                asyncio.run(_live(server, disk, ledger, tally, more))
            cut_and_reopen(disk, url, ledger, tally, MOMENTS if count >= STEP else 1)
        tally.count("writes that found no room", disk.control.refused_writes)
    tally.count("power cuts", tally.tried)
    tally.tried = count
    for each in ledger.unexpected:
        tally.wrong(each)
    slowest = ledger.slowest_refusal
    tally.expect(slowest <= REFUSED_S + more, f"refused after {slowest:.1f} s")
    ledger.report(tally)
    lose_the_last_registration(url, ledger, tally)
    return tally


async def _live(server: Server, disk: Disk, ledger: Timed, tally: Tally, more: float) -> None:
    """Work with room, without, with room again; and be killed."""
    control = disk.control
    async with Client(server.port, a_source()) as reader:
        user_key = await register(reader, ledger) or ""
        token = await log_in(reader, ledger, user_key) or ""
        await refresh(reader, ledger, token)
        async with working([server.port], ledger):
            await acknowledged(ledger, ledger.acknowledged + random.randint(1, WORK), tally)
            enough = control.refused_writes + random.randint(*REFUSED)
            control.room = random.randint(*ROOM)
            until = time.monotonic() + LIFE_S
            while control.refused_writes < enough and time.monotonic() < until:
                answer = await reader.post("/refresh", refresh_token=token)
                tally.expect(answer.status == 200, f"/refresh on a full disk: {answer.body!r}")
                await asyncio.sleep(0.002)
            tally.expect(time.monotonic() < until, f"the disk was not full in {LIFE_S} s")
            control.room = UNLIMITED
            await goes_on(server, ledger, tally, more)
            await acknowledged(ledger, ledger.acknowledged + random.randint(1, WORK), tally)
            server.kill()
