"""A process stops dead while it holds the append lock: the others say so in time, and go on.

A frozen machine looks like this: the connection stays, and says nothing. Security rule 27. The
controls: a store that lost something, processes that leave such a holder its lock, and one of those
that waits for its commit as long as it takes.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import psycopg

from tests.prove.changes import have_administrator
from tests.prove.client import Client, a_source
from tests.prove.in_time import BUSY_S, REFUSED_S
from tests.prove.load import (
    EACH_CHANGE,
    SECRET,
    Ledger,
    check_tokens,
    log_in,
    new_name,
    refresh,
    register,
    working,
)
from tests.prove.restarted import worked
from tests.prove.stored import another, check_store, lose_the_last_registration
from tests.prove.tally import Tally
from tests.running import running_all, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.running import Server

PROPERTY: Final = "a writer stopped with the lock: 503 in 2 s, on in 6 s, nothing lost or doubled"
SIZE: Final = 20
OF: Final = "stops"
STEP: Final = 4
SHORT: Final = 1
STORES: Final = ("postgresql",)
DEMANDED: Final = EACH_CHANGE

WORK: Final = 60
"""Acknowledgements before a stop, at most."""
GOES_ON_S: Final = 6.0
PATIENCE_S: Final = 30.0

BEYOND_S: Final = 0.5
"""For how much longer than it may take the controls are looked at."""

STATES: Final = ("active", "idle in transaction")
"""Inside a pipeline, where the server waits as well, for what has begun to go on, and no time limit
of a statement or of an idle session ends it; and between two statements."""

_HOLDER: Final = """
SELECT a.state, a.wait_event FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()"""


def prove(url: str, count: int) -> Tally:
    """Stop one of two processes `count` times, each time with the lock in its hand."""
    tally, ledger = Tally(), Ledger()
    more = 0.0 if count >= STEP else BUSY_S
    have_administrator(url, ledger)
    with (
        another(url) as beside,
        running_all(
            settings(url),
            settings(url),
            *[settings(beside, TEST_LEAVE_HOLDERS="1")] * 2,
            settings(beside, TEST_LEAVE_HOLDERS="1", TEST_NO_DEADLINE="1"),
        ) as (victim, other, *breached),
        ThreadPoolExecutor(1) as pool,
    ):
        # The control's lock is another: it takes its time beside the proof, once it is quiet.
        quiet = threading.Event()
        control = pool.submit(lambda: asyncio.run(_is_noticed(beside, breached, more, quiet)))
        quiet.wait()
        for each in range(count):
            state = STATES[each % len(STATES)]
            asyncio.run(_stop_once(victim, other, ledger, url, state, tally, more))
            tally.tried += 1
        everything = {*ledger.sessions, *ledger.ended}
        asyncio.run(check_tokens(other.port, ledger, everything, tally))
        for name, noticed in control.result().items():
            tally.control(name, noticed=noticed)
    for fault in ledger.unexpected:
        tally.wrong(fault)
    ledger.report(tally)
    check_store(url, ledger, tally)
    lose_the_last_registration(url, ledger, tally)
    return tally


async def _is_noticed(
    url: str, breached: Sequence[Server], more: float, quiet: threading.Event
) -> dict[str, bool]:
    """Whether it was noticed that the lock wasn't freed, and that it was waited for too long."""
    victim, other, waits = breached
    ledger, left, late = Ledger(), Tally(), Tally()
    patience = GOES_ON_S + more + BEYOND_S
    try:
        async with Client(other.port) as one, Client(waits.port) as two:
            user_key = await register(one, ledger) or ""
            token = await log_in(one, ledger, user_key) or ""
            await refresh(one, ledger, token)
            async with working([victim.port], ledger, people=8):
                try:
                    held = await asyncio.to_thread(_stop_holding, victim, url, "active")
                    quiet.set()
                    if held:
                        await asyncio.gather(
                            _beside_the_stopped(
                                other.port, one, ledger, token, left, more, patience
                            ),
                            # More than one wait for each other as well.
                            _beside_the_stopped(
                                waits.port, two, ledger, token, late, more, patience, writers=1
                            ),
                        )
                finally:
                    victim.go_on()
    finally:
        quiet.set()
    return {
        "a holder that keeps its lock": any(each.startswith("went on") for each in left.first),
        "a process that waits as long as it takes": any(
            each.startswith("refused after") for each in late.first
        ),
    }


async def _stop_once(
    victim: Server,
    other: Server,
    ledger: Ledger,
    url: str,
    state: str,
    tally: Tally,
    more: float,
) -> None:
    async with Client(other.port) as client:
        user_key = await register(client, ledger) or ""
        token = await log_in(client, ledger, user_key) or ""
        await refresh(client, ledger, token)
        async with working([victim.port], ledger, people=8):
            await worked(ledger, random.randint(1, WORK), tally)
            try:
                if not await asyncio.to_thread(_stop_holding, victim, url, state):
                    tally.wrong(f"the process was never stopped with the lock in its hand, {state}")
                    return
                await _beside_the_stopped(other.port, client, ledger, token, tally, more)
            finally:
                victim.go_on()
    await _works(victim.port, ledger, tally)


def _stop_holding(victim: Server, url: str, state: str) -> bool:
    """Stop it again and again, until it has the lock and the server waits for it in this state."""
    until = time.monotonic() + PATIENCE_S
    with psycopg.connect(url, autocommit=True) as connection:
        while time.monotonic() < until:
            victim.pause()
            if _settled(connection) == (state, "ClientRead"):
                return True
            victim.go_on()
            time.sleep(random.uniform(0.001, 0.01))
    return False


def _settled(connection: psycopg.Connection) -> tuple[object, ...] | None:
    """What the holder's session comes to, once what was under way is done; None without one."""
    until = time.monotonic() + 1
    found: list[tuple[object, ...]] = []
    while time.monotonic() < until:
        found = connection.execute(_HOLDER).fetchall()
        if not found:
            return None
        if found[0][1] == "ClientRead":
            time.sleep(0.05)  # it may have come between two messages that are there already
            if connection.execute(_HOLDER).fetchall() == found:
                return found[0]
    return None


async def _beside_the_stopped(
    port: int,
    reader: Client,
    ledger: Ledger,
    token: str,
    tally: Tally,
    more: float,
    patience: float = PATIENCE_S,
    writers: int = 4,
) -> None:
    """Writes are refused in time until the lock is free; reads go on all the while."""
    stopped = time.monotonic()
    written = asyncio.Event()
    refused: list[float] = []

    async def write() -> None:
        async with Client(port, a_source()) as client:
            while not written.is_set() and time.monotonic() < stopped + patience:
                name = new_name()
                ledger.names.add(name)
                answer = await client.post("/register", user_id=name, user_secret=SECRET)
                if ledger.note("/register", answer, 201, 503):
                    ledger.registered[name] = answer.json["user_key"]
                    written.set()
                else:
                    refused.append(answer.seconds)

    async def read() -> None:
        while not written.is_set():
            answer = await reader.post("/refresh", refresh_token=token)
            tally.expect(answer.status == 200, f"/refresh beside a held lock: {answer.body!r}")
            tally.figure("slowest /refresh beside a held lock, s", answer.seconds)
            await asyncio.sleep(0.05)

    reading = asyncio.create_task(read())
    await asyncio.gather(*(write() for _ in range(writers)))
    took = time.monotonic() - stopped
    if not written.is_set():
        tally.wrong("nobody could write for as long as anybody waited")
        written.set()
    await reading
    tally.expect(len(refused) > 0, "nobody was refused: the lock was not held")
    tally.expect(max(refused, default=0) <= REFUSED_S + more, f"refused after {max(refused):.1f} s")
    tally.expect(took <= GOES_ON_S + more, f"went on {took:.1f} s after the other stopped")
    tally.figure("503 beside a held lock, s", max(refused, default=0))
    tally.figure("stop to first success of the other, s", took)


async def _works(port: int, ledger: Ledger, tally: Tally) -> None:
    """The process that was stopped writes again, by itself."""
    started = time.monotonic()
    async with Client(port, a_source()) as client:
        while await register(client, ledger) is None:
            if time.monotonic() - started > PATIENCE_S:
                tally.wrong("the stopped process never wrote again")
                return
    tally.figure("waking to first success, s", time.monotonic() - started)
