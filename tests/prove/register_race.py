"""One name, asked for by 64 at the same moment: one gets it, the others hear that it is taken.

On PostgreSQL half of them ask another process.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

from tests.prove.client import Answer, Client, a_source
from tests.prove.load import SECRET, Ledger, new_name
from tests.prove.stored import check_store
from tests.prove.tally import Tally
from tests.running import running_all, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

PROPERTY: Final = "64 register one name at once: one has it"
SIZE: Final = 50
STEP: Final = 25
SHORT: Final = 1
STORES: Final = ("sqlite", "postgresql")
RACERS: Final = 64


def prove(url: str, count: int) -> Tally:
    """Race for `count` names on one store."""
    tally, ledger = Tally(), Ledger()
    processes = 2 if url.startswith("postgresql") else 1
    with running_all(*[settings(url)] * processes) as servers:
        ports = [server.port for server in servers]
        for _ in range(count):
            asyncio.run(_race(ports, ledger, tally))
            tally.tried += 1
    check_store(url, ledger, tally)
    second = Tally()
    _judge([Answer(201, b"{}", 0.0, {})] * 2 + [Answer(409, b"{}", 0.0, {})] * (RACERS - 2), second)
    tally.control("two winners", noticed=second.violations == 1)
    return tally


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
