"""Syncs of the disk take long under load: late answers or 503 in time, and on by itself.

From a twentieth of a second to a disk that hangs for five. Reads go on all the while; after it all
the power fails. Security rules 25 and 27. The controls: a store that lost something, a service that
waits for its disk as long as it takes, and whose reads wait for its writes.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Final

from tests.prove.cuts import acknowledged, live_and_cut
from tests.prove.disk import A_MILLION, FOR_EVER
from tests.prove.in_time import BUSY_S, REFUSED_S, in_time
from tests.prove.io_errors import WORK, goes_on
from tests.prove.kept_waiting import WAITS
from tests.prove.late_on_disks import both_are_late
from tests.prove.load import EACH_CHANGE, working
from tests.prove.reads import reading
from tests.prove.stored import lose_the_last_registration
from tests.prove.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.prove.cuts import Timed
    from tests.prove.disk import Disk
    from tests.running import Server

PROPERTY: Final = "syncs of 0.05 to 5 s: answers within 2 s, reads go on, nothing is lost"
SIZE: Final = 90
OF: Final = "slow disks"
STEP: Final = 6
SHORT: Final = 1
STORES: Final = ("sqlite",)
DEMANDED: Final = EACH_CHANGE
SYNCS: Final = {5.0: (1, 2), 0.5: (1, 6), 0.05: (5, 40)}
"""Seconds that a sync takes, and how many do, at least and at most; in the short form a hang ends
as soon as somebody was refused."""
MOMENTS: Final = 4
"""Of each life that are cut."""


def prove(url: str, count: int) -> Tally:
    """Live `count` lives on a disk that becomes slow."""
    tally, long = Tally(), count >= STEP
    # They have a disk of their own, and wait for the most part.
    hangs = {"sync_takes": FOR_EVER}
    late = ThreadPoolExecutor(1).submit(both_are_late, hangs, WAITS, "on a disk that hangs")
    more = 0.0 if long else BUSY_S
    live = partial(_live, cycle(SYNCS), tally, more)
    ledger = live_and_cut(url, count, live, tally, MOMENTS if long else 1)
    ledger.report(tally)
    lose_the_last_registration(url, ledger, tally)
    write, read = late.result()
    tally.control("no deadline on a disk that hangs", noticed=write)
    tally.control("reads that wait for writes", noticed=read)
    return tally


async def _live(
    delays: Iterator[float], tally: Tally, more: float, server: Server, disk: Disk, ledger: Timed
) -> None:
    """Work on a quick disk, a slow one, a quick one; and be killed."""
    control, seconds = disk.control, next(delays)
    when = f"when a sync takes {seconds:g} s"
    async with reading(server.port, ledger) as reader, working([server.port], ledger):
        await acknowledged(ledger, ledger.acknowledged + random.randint(1, WORK), tally)
        in_time(ledger, "on a quick disk", more, tally)
        before, refused = control.slow_syncs, ledger.refused
        enough = before + random.randint(*SYNCS[seconds])
        hangs = seconds > REFUSED_S

        def done() -> bool:
            if more and hangs:
                return ledger.refused > refused
            return bool(control.slow_syncs >= enough)

        control.sync_takes = int(seconds * A_MILLION)
        await reader.read_until(done, when, more, tally)
        control.sync_takes = 0
        if hangs:
            tally.expect(ledger.refused > refused, f"nobody was refused {when}")
        await goes_on(server, ledger, tally, more)
        in_time(ledger, when, more, tally)
        tally.count("syncs that took long", control.slow_syncs - before)
        await acknowledged(ledger, ledger.acknowledged + random.randint(1, WORK), tally)
        server.kill()
    in_time(ledger, "on a quick disk", more, tally)
