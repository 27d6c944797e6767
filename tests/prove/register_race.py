"""One name, asked for by 64 at the same moment: one gets it, the others hear that it is taken.

On PostgreSQL half of them ask another process. The control: a service that looks whether a name is
taken before it has the lock.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

from tests.prove.client import Client, a_source
from tests.prove.load import SECRET, Ledger, new_name
from tests.prove.stored import an_empty, check_store
from tests.prove.tally import Tally
from tests.running import running_all, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.prove.client import Answer

PROPERTY: Final = "64 register one name at once: one has it"
SIZE: Final = 50
OF: Final = "races"
STEP: Final = 25
SHORT: Final = 1
STORES: Final = ("sqlite", "postgresql")
RACERS: Final = 64
EARLIER_S: Final = "60"
"""How much earlier the control looks: not one of so many has been answered then."""


def prove(url: str, count: int) -> Tally:
    """Race for `count` names on one store."""
    tally = Tally()
    _run(url, count, tally)
    second = Tally()
    _run(an_empty(url, "breach"), 1, second, TEST_EARLY_NAMES=EARLIER_S)
    told, doubled = (
        any(words in each for each in second.first) for words in ("were answered", "doubled: ")
    )
    tally.control("a name that is looked up before the lock", noticed=told and doubled)
    return tally


def _run(url: str, count: int, tally: Tally, **breach: str) -> None:
    ledger = Ledger()
    processes = 2 if url.startswith("postgresql") else 1
    with running_all(*[settings(url, **breach)] * processes) as servers:
        ports = [server.port for server in servers]
        for _ in range(count):
            asyncio.run(_race(ports, ledger, tally))
            tally.tried += 1
    check_store(url, ledger, tally)


async def _race(ports: Sequence[int], ledger: Ledger, tally: Tally) -> None:
    name, source = new_name(), a_source()
    ledger.names.add(name)
    clients = [Client(ports[each % len(ports)], source) for each in range(RACERS)]
    # Connected first, so that the requests themselves begin together.
    await asyncio.gather(*(client.get("/healthz") for client in clients))
    answers = await asyncio.gather(
        *(client.post("/register", user_id=name, user_secret=SECRET) for client in clients)
    )
    await asyncio.gather(*(client.close() for client in clients))
    _judge(answers, tally)
    for answer in answers:
        if answer.status == 201:
            ledger.registered[name] = answer.json["user_key"]


def _judge(answers: Sequence[Answer], tally: Tally) -> None:
    found = Counter(answer.status for answer in answers)
    tally.expect(found == {201: 1, 409: RACERS - 1}, f"{RACERS} at once were answered {found}")
