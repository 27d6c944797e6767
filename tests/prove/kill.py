"""The server is killed under load: whatever it had acknowledged is there when it comes back.

Security rule 25.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Final

from tests.prove.client import Client
from tests.prove.load import Ledger, check_tokens, working
from tests.prove.stored import check_store, lose_the_last_registration
from tests.prove.tally import Tally
from tests.running import Server, running, settings

PROPERTY: Final = "killed under load, nothing acknowledged is lost"
SIZE: Final = 500
STEP: Final = 20
SHORT: Final = 2
STORES: Final = ("sqlite", "postgresql")
LIVES: Final = (5, 100)
"""After how many acknowledgements a server is killed, at least and at most."""
LIFE_S: Final = 20.0
"""By then it has to have given them."""


def prove(url: str, count: int) -> Tally:
    """Kill a server `count` times on one store."""
    tally, ledger = Tally(), Ledger()
    checked: set[str] = set()
    for _ in range(count):
        started = time.perf_counter()
        with running(settings(url)) as server:
            asyncio.run(_live(server, started, ledger, checked, tally))
        tally.tried += 1
    with running(settings(url)) as server:
        everything = {*ledger.sessions, *ledger.ended}
        asyncio.run(check_tokens(server.port, ledger, everything, tally))
        tally.expect(server.stop() == 0, "the last server did not stop in order")
    for each in ledger.unexpected:
        tally.wrong(each)
    ledger.report(tally)
    check_store(url, ledger, tally)
    lose_the_last_registration(url, ledger, tally)
    return tally


async def _live(
    server: Server, started: float, ledger: Ledger, checked: set[str], tally: Tally
) -> None:
    """From the first answer, over the sessions of the life before, to the end under load."""
    async with Client(server.port) as client:
        answer = await client.get("/readyz")
        tally.figure("start to first answer, s", time.perf_counter() - started)
        tally.expect(answer.status == 200, f"/readyz after a kill: {answer.body!r}")
    new = {*ledger.sessions, *ledger.ended} - checked
    await check_tokens(server.port, ledger, new, tally)
    checked |= new
    enough = ledger.acknowledged + random.randint(*LIVES)
    async with working([server.port], ledger):
        try:
            async with asyncio.timeout(LIFE_S):
                while ledger.acknowledged < enough:  # noqa: ASYNC110 - at any moment of it
                    await asyncio.sleep(random.uniform(0.001, 0.02))
        except TimeoutError:
            tally.wrong(f"{enough - ledger.acknowledged} acknowledgements too few in {LIFE_S} s")
        server.kill()
