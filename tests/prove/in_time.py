"""How soon people at work have to hear, by security rule 27, and whether they did.

Knows no store, and nothing of what kept them waiting.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.prove.load import Ledger
    from tests.prove.tally import Tally

REFUSED_S: Final = 2.0
"""Whoever isn't served by then has heard so."""
RECOVER_S: Final = 2.0
"""Once the store is there again, by then everything goes on."""
BUSY_S: Final = 3.0
"""What the short form gives a busy machine besides what is promised."""
CUT_S: Final = 0.5
"""What one who is cut is given besides: he hears of it once the process that was killed is gone,
and our own loop, which waits for that, has its turn."""


def in_time(ledger: Ledger, when: str, more: float, tally: Tally) -> None:
    """Everybody since this was asked last heard in time, or had not waited for longer when cut."""
    slowest = dict(ledger.slowest)
    ledger.slowest.clear()
    for heard, seconds in slowest.items():
        name = {"refused": "slowest 503", "cut": "longest wait of one cut"}.get(heard, "slowest")
        tally.figure(f"{name} {when}, s", seconds)
        most = REFUSED_S + more + (CUT_S if heard == "cut" else 0.0)
        where = ledger.slowest_at.get(heard, "")
        tally.expect(seconds <= most, f"{heard} after {seconds:.1f} s {when}: {where}")


async def all_hear(ledger: Ledger, when: str, more: float, tally: Tally) -> None:
    """Everybody who waits now hears in time: else a kill soon after would hide who never does."""
    clock = asyncio.get_running_loop().time
    waiting = {client: client.asked_at for client in ledger.at_work if client.asked_at is not None}
    until = clock() + REFUSED_S + more
    while waiting and clock() < until:
        await asyncio.sleep(0.002)
        waiting = {client: at for client, at in waiting.items() if client.asked_at == at}
    tally.expect(not waiting, f"{len(waiting)} requests without an answer {when}")
