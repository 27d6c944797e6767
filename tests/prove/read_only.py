"""The store becomes read-only under load: 503 in time, reads go on, and so does all afterwards.

On SQLite its file system does, as after a fault of the disk, and after it all the power fails. On
PostgreSQL the database does, by its `default_transaction_read_only`, and its connections are ended;
those that were made meanwhile stay read-only when the setting is gone. Security rules 25, 27 and
30: a service that keeps a connection which can only read has to be found out.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg
from psycopg.sql import SQL, Identifier

from tests.prove.backends import end_all
from tests.prove.changes import have_administrator
from tests.prove.client import Client, a_source
from tests.prove.cuts import acknowledged, live_and_cut, new_store
from tests.prove.in_time import BUSY_S, RECOVER_S, in_time
from tests.prove.io_errors import WORK, goes_on
from tests.prove.load import EACH_CHANGE, SECRET, Ledger, check_tokens, new_name, register, working
from tests.prove.reads import is_not_ready, reading
from tests.prove.restarted import go_on, told, worked
from tests.prove.stored import check_store, lose_the_last_registration
from tests.prove.tally import Tally
from tests.running import running, running_all, settings
from tests.store.intruding import SQLITE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.prove.cuts import Timed
    from tests.prove.disk import Disk
    from tests.running import Server

PROPERTY: Final = "a read-only store: 503 within 2 s, reads go on, nothing acknowledged is lost"
SIZE: Final = 40
OF: Final = "times"
STEP: Final = 5
SHORT: Final = 1
STORES: Final = ("sqlite", "postgresql")
DEMANDED: Final = EACH_CHANGE
AWAY_S: Final = (0.0, 14.0)
"""For how long it can't be written, at least and at most: also for longer than it takes to give up
the commit that met it, after which each begins with a store that was opened meanwhile."""
SHORT_AWAY_S: Final = 0.4
SHORT_SETTLE_S: Final = 0.2
REFUSED: Final = (1, 40)
"""How many were refused by then, at least."""
PAUSE_S: Final = 0.25
MOMENTS: Final = 4
"""Of each life on SQLite that are cut."""
WHEN: Final = "on a read-only store"

_READ_ONLY: Final = "ALTER DATABASE {} SET default_transaction_read_only = on"
_WRITABLE: Final = "ALTER DATABASE {} RESET default_transaction_read_only"


def prove(url: str, count: int) -> Tally:
    """Make the store read-only `count` times."""
    tally, long = Tally(), count >= STEP
    more = 0.0 if long else BUSY_S
    if url.startswith(SQLITE):
        live = partial(_live, tally, more)
        given = {} if long else {"TEST_SETTLE": f"{SHORT_SETTLE_S}"}
        moments = MOMENTS if long else 1
        ledger: Ledger = live_and_cut(url, count, live, tally, moments, **given)
        if long:
            tally.control("a connection kept that can only read", noticed=_is_stuck())
    else:
        ledger = Ledger()
        ledger.pause_s = PAUSE_S
        have_administrator(url, ledger)
        with running_all(settings(url), settings(url)) as servers:
            ports = [server.port for server in servers]
            asyncio.run(_disturbed(url, ports, ledger, count, tally, more))
        told(ledger, tally)
        check_store(url, ledger, tally)
    in_time(ledger, "on a writable store", more, tally)
    ledger.report(tally)
    lose_the_last_registration(url, ledger, tally)
    return tally


async def _live(tally: Tally, more: float, server: Server, disk: Disk, ledger: Timed) -> None:
    """Work on a writable file system, a read-only one, a writable one; and be killed."""
    ledger.pause_s = PAUSE_S
    async with reading(server.port, ledger) as reader, working([server.port], ledger):
        await acknowledged(ledger, ledger.acknowledged + random.randint(1, WORK), tally)
        before = disk.control.denied_writes
        done = _away(ledger, SHORT_AWAY_S if more else random.uniform(*AWAY_S))
        disk.control.read_only = 1
        await is_not_ready(server.port, WHEN, more, tally)
        await reader.read_until(done, WHEN, more, tally)
        disk.control.read_only = 0
        await goes_on(server, ledger, tally, more)
        in_time(ledger, WHEN, more, tally)
        tally.count("changes of files that were refused", disk.control.denied_writes - before)
        await acknowledged(ledger, ledger.acknowledged + random.randint(1, WORK), tally)
        server.kill()
    in_time(ledger, "on a writable store", more, tally)


def _is_stuck() -> bool:
    """The control: whether it shows that what was opened while it was read-only is kept."""
    with new_store() as (url, disk):
        given = settings(url, TEST_SETTLE=f"{SHORT_SETTLE_S}", TEST_KEEP="1", **disk.settings)
        with running(given, disk.preloaded) as server:
            return asyncio.run(_stays(server, disk))


async def _stays(server: Server, disk: Disk) -> bool:
    """Whether nobody can write on a file system that was read-only, in the time promised."""
    ledger = Ledger()
    async with Client(server.port, a_source()) as client:
        await register(client, ledger)
        disk.control.read_only = 1
        done = _away(ledger, SHORT_AWAY_S)
        while not done():
            await register(client, ledger)
        disk.control.read_only = 0
        until = time.monotonic() + RECOVER_S
        while await register(client, ledger) is None:
            if time.monotonic() > until:
                return True
            await asyncio.sleep(0.05)
    return False


def _away(ledger: Ledger, seconds: float) -> Callable[[], bool]:
    """Whether it was read-only for long enough, from now on."""
    until = time.monotonic() + seconds
    enough = ledger.refused + random.randint(*REFUSED)
    return lambda: ledger.refused >= enough and time.monotonic() >= until


async def _disturbed(
    url: str, ports: Sequence[int], ledger: Ledger, count: int, tally: Tally, more: float
) -> None:
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(reading(port, ledger)) for port in ports]
        await stack.enter_async_context(working(ports, ledger, people=8))
        for _ in range(count):
            await worked(ledger, random.randint(1, WORK), tally)
            await asyncio.to_thread(_change, url, _READ_ONLY)
            ended = await asyncio.to_thread(end_all, url)
            tally.expect(ended > 0, "no connection was there to be ended")
            done = _away(ledger, 0.0 if more else random.uniform(*AWAY_S))
            for port in ports:
                await is_not_ready(port, WHEN, more, tally)
            for reader in readers:
                await reader.read_until(done, WHEN, more, tally)
            await asyncio.to_thread(_change, url, _WRITABLE)
            await go_on(ports, ledger, tally, more)
            in_time(ledger, WHEN, more, tally)
            tally.tried += 1
    for port in ports:
        await _counts(port, tally)
        await check_tokens(port, ledger, {*ledger.sessions, *ledger.ended}, tally)


def _change(url: str, how: LiteralString) -> None:
    """By a session that may write whatever the database says."""
    own = psycopg.connect(url, autocommit=True, options="-c default_transaction_read_only=off")
    with own as connection:
        connection.execute(SQL(how).format(Identifier(connection.info.dbname)))


async def _counts(port: int, tally: Tally) -> None:
    """A wrong secret is refused as such: that it was wrong can be counted again."""
    async with Client(port, a_source()) as client:
        answer = await client.post("/userkey", user_id=new_name(), user_secret=SECRET)
    tally.expect(answer.status == 401, f"/userkey of nobody afterwards: {answer.status}")
