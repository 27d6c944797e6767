"""A session that was revoked in one process is over in the other, from the answer on.

Requests are under way all the while, so that a look-up which was sent before the end could be
joined, or its row remembered: neither may be. Security rule 16; on SQLite within its one process.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from tests.prove.client import Client, a_source
from tests.prove.load import Ledger, log_in, register
from tests.prove.tally import Tally
from tests.running import running, running_all, settings

if TYPE_CHECKING:
    from tests.prove.client import Answer

PROPERTY: Final = "a /refresh or /me that begins after /revoke was answered is refused"
SIZE: Final = 10_000
OF: Final = "revocations"
STEP: Final = 1_000
SHORT: Final = 30
STORES: Final = ("sqlite", "postgresql")
ACTORS: Final = 8
BREACHES: Final = 8
"""Tries on a server that remembers look-ups; every one should be noticed, one must be."""


def prove(url: str, count: int) -> Tally:
    """Revoke `count` sessions of one store, at another process where there can be one."""
    tally, second = Tally(), Tally()
    forgetful, remembering = settings(url), settings(url, TEST_LOOKUP_CACHE="1")
    if url.startswith("postgresql"):
        with running_all(forgetful, forgetful, remembering) as (one, other, breach):
            asyncio.run(_try(one.port, other.port, count, tally))
            asyncio.run(_try(one.port, breach.port, BREACHES, second, swap=False))
    else:
        with running(forgetful) as one:
            asyncio.run(_try(one.port, one.port, count, tally))
        with running(remembering) as breach:
            asyncio.run(_try(breach.port, breach.port, BREACHES, second))
    for path in ("/refresh", "/me"):
        noticed = any(each.startswith(path) for each in second.first)
        tally.control(f"a one-second cache of look-ups: {path}", noticed=noticed)
    return tally


async def _try(here: int, there: int, count: int, tally: Tally, *, swap: bool = True) -> None:
    left = iter(range(count))

    async def act() -> None:
        async with AsyncExitStack() as stack:
            ways = [(here, there), (there, here)] if swap else [(here, there)]
            actors = [Actor(*way) for way in ways]
            for client in [client for actor in actors for client in actor.clients]:
                await stack.enter_async_context(client)
            for each in left:
                await actors[each % len(actors)].revoke_once(tally)

    async with asyncio.TaskGroup() as group:
        for _ in range(ACTORS):
            group.create_task(act())


class Actor:
    """A user whose sessions end at one process and are used at another, on open connections."""

    def __init__(self, here: int, there: int) -> None:
        source = a_source()
        self.owner = Client(here, source)
        self.first, self.bearer, self.hammer = (Client(there, source) for _ in range(3))
        self.clients = (self.owner, self.first, self.bearer, self.hammer)
        self._user_key = ""

    async def revoke_once(self, tally: Tally) -> None:
        """Start a session, use it all the time, end it, and use it afterwards."""
        ledger, loop = Ledger(), asyncio.get_running_loop()
        ended_at = float("inf")
        over = asyncio.Event()

        def judge(path: str, begun: float, answer: Answer) -> None:
            allowed = (401,) if begun >= ended_at else (200, 401)
            if answer.status not in allowed:
                tally.wrong(
                    f"{path} begun {(begun - ended_at) * 1000:+.2f} ms after the answer of "
                    f"/revoke: {answer.status} {answer.body[:200]!r}"
                )

        async def refresh() -> None:
            begun = loop.time()
            judge("/refresh", begun, await self.first.post("/refresh", refresh_token=token))

        async def show() -> None:
            begun = loop.time()
            judge("/me", begun, await self.bearer.get("/me", access_token))

        async def hammer() -> None:
            while not over.is_set():
                begun = loop.time()
                judge("/refresh", begun, await self.hammer.post("/refresh", refresh_token=token))

        self._user_key = self._user_key or await register(self.owner, ledger) or ""
        token = await log_in(self.owner, ledger, self._user_key) or ""
        used = await self.first.post("/refresh", refresh_token=token)
        if used.status != 200:
            tally.wrong(f"a new session didn't refresh: {used.status} {used.body!r}")
            return
        access_token = used.json["access_token"]
        await show()
        hammering = asyncio.create_task(hammer())
        await asyncio.sleep(random.uniform(0, 0.01))
        revoked = await self.owner.post("/revoke", refresh_token=token)
        ended_at = loop.time()
        tally.expect(revoked.status == 200, f"/revoke: {revoked.status} {revoked.body!r}")
        await asyncio.gather(refresh(), show())
        over.set()
        await hammering
        tally.tried += 1
