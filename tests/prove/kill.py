"""The server is killed under load: whatever it had acknowledged is there when it comes back.

One in ten lives is `gatebook serve` as a user starts it, from the first import on; the others are
forks of what has imported everything already, told apart. Security rule 25. The controls: a store
that lost something, and a service that answers before it has committed.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Final

from tests.prove.changes import have_administrator
from tests.prove.client import Client
from tests.prove.in_time import BUSY_S, in_time
from tests.prove.load import EACH_CHANGE, Ledger, check_tokens, working
from tests.prove.stored import an_empty, check_store, lose_the_last_registration
from tests.prove.tally import Tally
from tests.running import Server, running, settings

PROPERTY: Final = "killed under load, nothing acknowledged is lost"
SIZE: Final = 500
OF: Final = "kills"
STEP: Final = 20
SHORT: Final = 2
STORES: Final = ("sqlite", "postgresql")
DEMANDED: Final = EACH_CHANGE
LIVES: Final = (5, 100)
"""After how many acknowledgements a server is killed, at least and at most."""
EARLY_LIFE: Final = 1, 5
"""The same of the control's only one."""
EARLIER_S: Final = "0.5"
"""How much earlier than it commits the control answers: it is killed before that is over."""
LIFE_S: Final = 20.0
"""By then it has to have given them."""
PROGRAM: Final = 10
"""One life in so many is the program itself, and never the first, for which nobody was killed."""
ANSWERS_S: Final = 3.0
"""From the start to the first answer, at most."""
BUSY_START_S: Final = 4.0
"""What the short form allows besides: other tests run beside it."""


def prove(url: str, count: int) -> Tally:
    """Kill a server `count` times on one store."""
    tally, ledger = Tally(), Ledger()
    have_administrator(url, ledger)
    checked: set[str] = set()
    within = ANSWERS_S if count >= STEP else ANSWERS_S + BUSY_START_S
    for number in range(count):
        as_program = number % PROGRAM == 1
        started = time.perf_counter()
        with running(settings(url), as_program=as_program) as server:
            took = asyncio.run(_answer(server, started, tally))
            if as_program:
                tally.count("starts of `gatebook serve`")
                tally.figure("start of `gatebook serve` to first answer, s", took)
                tally.expect(took <= within, f"the first answer came {took:.2f} s after the start")
            elif number:
                tally.figure("start of a fork with everything imported to first answer, s", took)
            asyncio.run(_live(server, ledger, checked, tally))
        tally.tried += 1
    with running(settings(url)) as server:
        everything = {*ledger.sessions, *ledger.ended}
        asyncio.run(check_tokens(server.port, ledger, everything, tally))
        tally.expect(server.stop() == 0, "the last server did not stop in order")
    for each in ledger.unexpected:
        tally.wrong(each)
    in_time(ledger, "before a kill", 0.0 if count >= STEP else BUSY_S, tally)
    ledger.report(tally)
    check_store(url, ledger, tally)
    lose_the_last_registration(url, ledger, tally)
    tally.control("an answer before the commit", noticed=_is_noticed(an_empty(url, "breach")))
    return tally


def _is_noticed(url: str) -> bool:
    """The control: what was answered and not yet committed is missed."""
    tally, ledger = Tally(), Ledger()
    with running(settings(url, TEST_EARLY_ANSWER=EARLIER_S)) as server:
        asyncio.run(_live(server, ledger, set(), tally, EARLY_LIFE))
    check_store(url, ledger, tally)
    return any(each.startswith("lost: ") for each in tally.first)


async def _answer(server: Server, started: float, tally: Tally) -> float:
    """The first one, and seconds from the start to it."""
    async with Client(server.port) as client:
        answer = await client.get("/readyz")
        took = time.perf_counter() - started
    tally.expect(answer.status == 200, f"/readyz after a kill: {answer.body!r}")
    return took


async def _live(
    server: Server,
    ledger: Ledger,
    checked: set[str],
    tally: Tally,
    acknowledging: tuple[int, int] = LIVES,
) -> None:
    """Over the sessions of the life before to the end under load."""
    new = {*ledger.sessions, *ledger.ended} - checked
    await check_tokens(server.port, ledger, new, tally)
    checked |= new
    enough = ledger.acknowledged + random.randint(*acknowledging)
    async with working([server.port], ledger):
        try:
            async with asyncio.timeout(LIFE_S):
                while ledger.acknowledged < enough:  # noqa: ASYNC110 - at any moment of it
                    await asyncio.sleep(random.uniform(0.001, 0.02))
        except TimeoutError:
            tally.wrong(f"{enough - ledger.acknowledged} acknowledgements too few in {LIFE_S} s")
        server.kill()
