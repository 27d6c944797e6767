"""PostgreSQL is restarted under load, in order and by a crash: 503 meanwhile, and nothing is lost.

Two processes serve one database; once it is there again they go on by themselves. Security rules
25, 27 and 30: a PostgreSQL that answers before it has written, whose refusal is taken out of the
service, has to be found out by a crash; and a process that tries again, and again, while people
wait, by the first restart.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final, get_args

from app.store import open_store, storage_of
from app.vault import Vault
from tests.postgres import PostgresServer, StopMode
from tests.prove.changes import have_administrator
from tests.prove.client import Client, a_source
from tests.prove.in_time import BUSY_S, RECOVER_S, in_time
from tests.prove.kept_waiting import INSISTS, somebody
from tests.prove.load import EACH_CHANGE, Ledger, check_tokens, register, working
from tests.prove.stored import check_store, lose_the_last_registration
from tests.prove.tally import Tally
from tests.running import MASTER, running, running_all, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

PROPERTY: Final = "PostgreSQL restarted under load: 503 only meanwhile, nothing lost or doubled"
SIZE: Final = 60
OF: Final = "restarts"
STEP: Final = 10
SHORT: Final = 1
STORES: Final = ("postgresql",)
DEMANDED: Final = EACH_CHANGE
MODES: Final[tuple[StopMode, ...]] = tuple(each for each in get_args(StopMode) if each != "smart")
AWAY_S: Final = (0.0, 3.0)
"""How long it is away, at least and at most, besides what stopping and starting take."""
WORK: Final = 30
"""Acknowledgements between two restarts, at most."""
PATIENCE_S: Final = 30.0
SHORT_PAUSE_S: Final = 0.05
"""How long somebody rests who couldn't register: the short form shares its machine with others."""
UNWRITTEN: Final = 20
"""Acknowledgements whose loss has to be found out."""
_UNDURABLE: Final = {
    "synchronous_commit": "off",
    # Whatever else writes the log rests for longer than all of that takes.
    "wal_writer_delay": "10s",
    "wal_writer_flush_after": "1GB",
    "bgwriter_lru_maxpages": "0",
    "autovacuum": "off",
}


def prove(url: str, count: int) -> Tally:
    """Restart a PostgreSQL of its own `count` times: others may use that of `url`."""
    del url
    tally, ledger = Tally(), Ledger()
    more, ledger.pause_s = (0.0, 0.0) if count >= STEP else (BUSY_S, SHORT_PAUSE_S)
    with PostgresServer() as postgres:
        url = postgres.create_database()
        have_administrator(url, ledger)
        beside = postgres.create_database()
        given = settings(url), settings(url), settings(beside, **INSISTS)
        with running_all(*given) as (one, other, insists):
            ports = [one.port, other.port]
            asyncio.run(_restarted(postgres, ports, insists.port, ledger, count, tally, more))
        check_store(url, ledger, tally)
        in_time(ledger, "without PostgreSQL", more, tally)
        told(ledger, tally)
        lose_the_last_registration(url, ledger, tally)
        tally.control("synchronous_commit=off", noticed=_is_noticed(postgres))
    return tally


def _is_noticed(postgres: PostgresServer) -> bool:
    """The control: what was only in memory when PostgreSQL crashed is missed."""
    tally, ledger = Tally(), Ledger()
    url = postgres.create_database()
    # The store itself is on the disk, and so is everything when it is looked at.
    open_store(storage_of(url), Vault(MASTER), "ES256").storage.close()
    postgres.restart(settings=_UNDURABLE)
    with running(settings(url, TEST_UNDURABLE="1")) as server:
        asyncio.run(_crashed(postgres, server.port, ledger))
    postgres.start({"synchronous_commit": "on"})
    check_store(url, ledger, tally)
    return any(each.startswith("lost: ") for each in tally.first)


async def _crashed(postgres: PostgresServer, port: int, ledger: Ledger) -> None:
    async with working([port], ledger, people=8):
        await worked(ledger, UNWRITTEN, Tally())
        await asyncio.to_thread(postgres.stop, "immediate")


def told(ledger: Ledger, tally: Tally) -> None:
    """What the people at work heard is as it has to be."""
    for each in ledger.unexpected:
        tally.wrong(each)
    tally.expect(ledger.cut == 0, f"{ledger.cut} connections of clients were cut")
    tally.expect(ledger.refused > 0, "nobody was refused: the store was there all the time")
    ledger.report(tally)


async def _restarted(
    postgres: PostgresServer,
    ports: Sequence[int],
    insists: int,
    ledger: Ledger,
    count: int,
    tally: Tally,
    more: float,
) -> None:
    first = random.randrange(len(MODES))
    async with somebody(insists) as one, working(ports, ledger, people=8):
        for each in range(first, first + count):
            await worked(ledger, random.randint(1, WORK), tally)
            await asyncio.to_thread(postgres.stop, MODES[each % len(MODES)])
            if each == first:
                one.ask()
            # The first is so long that somebody is refused for certain, and the control too late.
            await asyncio.sleep(AWAY_S[1] if each == first else random.uniform(*AWAY_S))
            await asyncio.to_thread(postgres.start)
            await go_on(ports, ledger, tally, more)
            tally.tried += 1
        late = await one.heard_late("without PostgreSQL")
        tally.control("a process that tries until PostgreSQL is back", noticed=late)
    for port in ports:
        await check_tokens(port, ledger, {*ledger.sessions, *ledger.ended}, tally)


async def worked(ledger: Ledger, least: int, tally: Tally) -> None:
    """Wait until so much more is acknowledged; its moment is none in particular."""
    enough, until = ledger.acknowledged + least, time.monotonic() + PATIENCE_S
    while ledger.acknowledged < enough:
        if time.monotonic() > until:
            tally.wrong(f"fewer than {least} acknowledgements in {PATIENCE_S} s")
            return
        await asyncio.sleep(random.uniform(0.001, 0.02))


async def go_on(ports: Sequence[int], ledger: Ledger, tally: Tally, more: float) -> None:
    """The store is there: each process writes again, by itself, as soon as is promised."""
    since = time.monotonic()
    for took in await asyncio.gather(*(_wrote(port, ledger, since) for port in ports)):
        if took is None:
            tally.wrong(f"nothing could be written for {PATIENCE_S} s")
            continue
        tally.figure("store back to first success, s", took)
        tally.expect(took <= RECOVER_S + more, f"nothing could be written for {took:.1f} s")


async def _wrote(port: int, ledger: Ledger, since: float) -> float | None:
    async with Client(port, a_source()) as client:
        while await register(client, ledger) is None:
            if time.monotonic() > since + PATIENCE_S:
                return None
            await asyncio.sleep(0.01)
    return time.monotonic() - since
