"""PostgreSQL ends connections of the service at random: 503 at worst, and nothing is lost.

Two processes serve one database. Security rules 25 to 27.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import psycopg

from tests.prove.client import Client
from tests.prove.load import Ledger, check_tokens, working
from tests.prove.stored import check_store, lose_the_last_registration
from tests.prove.tally import Tally
from tests.running import running_all, settings

PROPERTY: Final = "connections ended by PostgreSQL: 503 at worst, nothing lost or doubled"
SIZE: Final = 200
STEP: Final = 100
SHORT: Final = 20
STORES: Final = ("postgresql",)
EVERY_S: Final = 0.05
RECOVER_S: Final = 10.0

_END_ONE: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
ORDER BY random() LIMIT 1"""


def prove(url: str, count: int) -> Tally:
    """End `count` connections of two processes at work on one store."""
    tally, ledger = Tally(), Ledger()
    with running_all(settings(url), settings(url)) as (one, other):
        asyncio.run(_disturbed([one.port, other.port], ledger, url, count, tally))
    for each in ledger.unexpected:
        tally.wrong(each)
    tally.expect(ledger.cut == 0, f"{ledger.cut} connections of clients were cut")
    tally.expect(len(ledger.registered) > 0, "nothing was acknowledged")
    ledger.report(tally)
    check_store(url, ledger, tally)
    lose_the_last_registration(url, ledger, tally)
    return tally


async def _disturbed(ports: list[int], ledger: Ledger, url: str, count: int, tally: Tally) -> None:
    async with working(ports, ledger):
        tally.tried += await asyncio.to_thread(_end_connections, url, count)
    for port in ports:
        await _recovers(port, tally)
        await check_tokens(port, ledger, {*ledger.sessions, *ledger.ended}, tally)


def _end_connections(url: str, count: int) -> int:
    """End that many, one every 50 ms; how many were there to be ended."""
    ended = 0
    until = time.monotonic() + 60 + count
    with psycopg.connect(url, autocommit=True) as connection:
        while ended < count and time.monotonic() < until:
            ended += len(connection.execute(_END_ONE.encode()).fetchall())
            time.sleep(EVERY_S)
    return ended


async def _recovers(port: int, tally: Tally) -> None:
    """The process does everything again, by itself."""
    started = time.monotonic()
    async with Client(port) as client:
        while (answer := await client.get("/readyz")).status != 200:
            if time.monotonic() - started > RECOVER_S:
                tally.wrong(f"not ready {RECOVER_S} s after the last disturbance: {answer.body!r}")
                return
    tally.figure("last disturbance to ready, s", time.monotonic() - started)
