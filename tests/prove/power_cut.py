"""Power fails under load: what the disk had not been told to keep is gone, what was answered isn't.

A server on a disk that keeps a journal is killed at any moment of its work. The store is put
together as it may be on the medium then: without what wasn't synced, or with parts of it, torn
writes among them. The next server opens it, and every acknowledged change has to be there. So it is
for other moments of the same life. Security rules 25 and 30: a store that doesn't wait for the
disk, and a disk that only says so, have to be found out.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Final

from tests.prove.changes import have_administrator
from tests.prove.cuts import FILE, MOMENTS, Timed, cut_and_reopen, is_noticed, make, work
from tests.prove.disk import A_MILLION, Disk
from tests.prove.in_time import BUSY_S, in_time
from tests.prove.load import EACH_CHANGE
from tests.prove.tally import Tally
from tests.running import running, settings
from tests.store.intruding import SQLITE

PROPERTY: Final = "power fails under load: nothing acknowledged is lost, the store verifies"
SIZE: Final = 1_000
OF: Final = "cuts"
STEP: Final = 40
SHORT: Final = 2
STORES: Final = ("sqlite",)
DEMANDED: Final = EACH_CHANGE
LIVES: Final = (5, 200)
"""After how many acknowledgements a server is killed, at least and at most."""


def prove(url: str, count: int) -> Tally:
    """Cut the power at `count` moments."""
    tally = Tally()
    with Disk(Path(url.removeprefix(SQLITE)).parent) as disk:
        ledger = Timed(disk)
        make(url, disk, tally)
        have_administrator(url, ledger)
        while tally.tried < count:
            disk.begin()
            ledger.begin()
            with running(settings(url, **disk.settings), disk.preloaded) as server:
                asyncio.run(work(server, ledger, tally, random.randint(*LIVES)))
            tally.count("checkpoints", disk.syncs(FILE))
            cut_and_reopen(disk, url, ledger, tally, min(count - tally.tried, MOMENTS))
    for each in ledger.unexpected:
        tally.wrong(each)
    in_time(ledger, "before power fails", 0.0 if count >= STEP else BUSY_S, tally)
    ledger.report(tally)
    tally.control("synchronous=NORMAL", noticed=is_noticed({"TEST_SYNCHRONOUS": "NORMAL"}))
    if count >= STEP:
        tally.control("a disk that says it did", noticed=is_noticed({}, lying=A_MILLION))
    return tally
