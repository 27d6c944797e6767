"""PostgreSQL ends connections of the service at random: 503 at worst, and nothing is lost.

Once it ends no more, nobody is refused: not even when every connection ended while idle. Two
processes serve one database. Security rules 25 to 27. The controls: a store that lost something,
and a process that tries again, and again, while people wait.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final
from urllib.parse import urlsplit

import psycopg

from tests.prove.changes import have_administrator
from tests.prove.client import Client, a_source
from tests.prove.in_time import BUSY_S, RECOVER_S, in_time
from tests.prove.kept_waiting import INSISTS, somebody
from tests.prove.load import EACH_CHANGE, Ledger, check_tokens, log_in, refresh, register, working
from tests.prove.lost_reply import proxied
from tests.prove.proxy import Proxy
from tests.prove.stored import another, check_store, lose_the_last_registration
from tests.prove.tally import Tally
from tests.running import running_all, settings

PROPERTY: Final = "connections ended by PostgreSQL: 503 only meanwhile, nothing lost or doubled"
SIZE: Final = 200
OF: Final = "ended connections"
STEP: Final = 100
SHORT: Final = 8
STORES: Final = ("postgresql",)
DEMANDED: Final = EACH_CHANGE
EVERY_S: Final = 0.05
IDLE_ROUNDS: Final = 3
"""How often, at the end, every connection is ended while nobody uses one."""

_OTHERS: Final = """FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
_END_ONE: Final = f"SELECT pg_terminate_backend(pid) {_OTHERS} ORDER BY random() LIMIT 1"
_END_ALL: Final = f"SELECT pg_terminate_backend(pid, 10000) {_OTHERS}"


def prove(url: str, count: int) -> Tally:
    """End `count` connections of two processes at work on one store."""
    tally, ledger = Tally(), Ledger()
    more = 0.0 if count >= STEP else BUSY_S
    have_administrator(url, ledger)
    parts = urlsplit(url)
    with (
        another(url) as beside,
        Proxy(str(parts.hostname), parts.port or 5432) as proxy,
        running_all(settings(url), settings(url), settings(proxied(beside, proxy), **INSISTS)) as (
            one,
            other,
            insists,
        ),
    ):

        async def both() -> None:
            # They have no store in common, and need not wait for each other.
            await asyncio.gather(
                _disturbed([one.port, other.port], ledger, url, count, tally, more),
                _waited(proxy, insists.port, tally),
            )

        asyncio.run(both())
    for each in ledger.unexpected:
        tally.wrong(each)
    tally.expect(ledger.cut == 0, f"{ledger.cut} connections of clients were cut")
    tally.expect(len(ledger.registered) > 0, "nothing was acknowledged")
    in_time(ledger, "without a connection", more, tally)
    ledger.report(tally)
    check_store(url, ledger, tally)
    lose_the_last_registration(url, ledger, tally)
    return tally


async def _waited(proxy: Proxy, port: int, tally: Tally) -> None:
    """The control: somebody asks when every connection was ended, and none can be had."""
    async with somebody(port) as one:
        proxy.cut()
        one.ask()
        await one.wait()
        proxy.mend()
        late = await one.heard_late("without a connection")
    tally.control("a process that tries until it has a connection", noticed=late)


async def _disturbed(
    ports: list[int], ledger: Ledger, url: str, count: int, tally: Tally, more: float
) -> None:
    async with working(ports, ledger):
        tally.tried += await asyncio.to_thread(_end_connections, url, count)
    for port in ports:
        await _recovers(port, tally, more)
        await check_tokens(port, ledger, {*ledger.sessions, *ledger.ended}, tally)
    for _ in range(IDLE_ROUNDS):
        for port in ports:
            ended = await asyncio.to_thread(end_all, url)
            tally.expect(ended > 0, "no connection was there to be ended")
            await _answers_at_once(port, ledger, tally)


async def _answers_at_once(port: int, ledger: Ledger, tally: Tally) -> None:
    """Each kind of request, once, is answered at its first try."""
    before = ledger.refused
    async with Client(port, a_source()) as client:
        user_key = await register(client, ledger)
        token = await log_in(client, ledger, user_key) if user_key else None
        if token is not None:
            await refresh(client, ledger, token)
    refused = ledger.refused - before
    tally.expect(refused == 0, f"{refused} refused when the store was back")


def end_all(url: str) -> int:
    """End every connection, and wait until they are gone; how many there were."""
    with psycopg.connect(url, autocommit=True) as connection:
        return len(connection.execute(_END_ALL.encode()).fetchall())


def _end_connections(url: str, count: int) -> int:
    """End that many, one every 50 ms; how many were there to be ended."""
    ended = 0
    until = time.monotonic() + 60 + count
    with psycopg.connect(url, autocommit=True) as connection:
        while ended < count and time.monotonic() < until:
            ended += len(connection.execute(_END_ONE.encode()).fetchall())
            time.sleep(EVERY_S)
    return ended


async def _recovers(port: int, tally: Tally, more: float) -> None:
    """The process does everything again, by itself."""
    within, started = RECOVER_S + more, time.monotonic()
    async with Client(port) as client:
        while (answer := await client.get("/readyz")).status != 200:
            if time.monotonic() - started > within:
                tally.wrong(f"not ready {within} s after the last disturbance: {answer.body!r}")
                return
    tally.figure("last disturbance to ready, s", time.monotonic() - started)
