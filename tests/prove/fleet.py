"""The processes of one service under load, restarted one after another as behind a balancer.

A process that is to end is sent nothing any more, and is told to once it has answered everything;
so no request may fail, and none is sent twice. Knows no property.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from tests.prove.client import Client, Cut, a_source
from tests.prove.load import log_in, refresh, register, revoke
from tests.running import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.prove.client import Answer
    from tests.prove.load import Ledger
    from tests.prove.tally import Tally

PEOPLE: Final = 4
SESSIONS_EACH: Final = 3
PAUSE_S: Final = 0.02
"""Between two requests of a person, so that what starts beside them gets on."""


class Fleet:
    """Processes that serve one store. Belongs to an event loop."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._started: list[Server] = []
        self._serving: list[Server] = []
        self._busy: Counter[Server] = Counter()
        self._changed = asyncio.Condition()
        self._rounds = 0

    @asynccontextmanager
    async def running(self, given: Mapping[str, str], number: int) -> AsyncIterator[None]:
        """So many processes, until the end of `with`."""
        try:
            await asyncio.gather(*[self._start(given) for _ in range(number)])
            yield
            while self._serving:
                await self._stop_first()
        finally:
            for server in self._started:
                server.kill()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Server]:
        """Any that serves, which isn't stopped meanwhile; waits while there is none."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._serving)
            server = random.choice(self._serving)
            self._busy[server] += 1
        try:
            yield server
        finally:
            async with self._changed:
                self._busy[server] -= 1
                self._changed.notify_all()

    @property
    def newest(self) -> Server:
        """The one that was started last."""
        return self._serving[-1]

    async def restart(self, given: Mapping[str, str]) -> None:
        """Every process with these settings, one after another."""
        for _ in range(len(self._serving)):
            await self.restart_one(given)

    async def restart_one(self, given: Mapping[str, str]) -> None:
        """The one that has served longest; what there is then is used for a while."""
        await self._stop_first()
        await self._start(given)
        await self.work()

    async def work(self) -> None:
        """Wait for rounds of work, at least half of them begun at the processes of the moment."""
        enough = self._rounds + 2 * PEOPLE
        async with self._changed:
            await self._changed.wait_for(lambda: self._rounds >= enough)

    async def worked(self) -> None:
        """Somebody has ended a round."""
        async with self._changed:
            self._rounds += 1
            self._changed.notify_all()

    async def _start(self, given: Mapping[str, str]) -> None:
        server = Server(given)
        self._started.append(server)
        await asyncio.to_thread(lambda: server.port)
        async with self._changed:
            self._serving.append(server)
            self._changed.notify_all()

    async def _stop_first(self) -> None:
        async with self._changed:
            server = self._serving.pop(0)
            await self._changed.wait_for(lambda: not self._busy[server])
        code = await asyncio.to_thread(server.stop)
        self._tally.expect(code == 0, f"a server ended with {code}")


class Balanced(Client):
    """Sends each request to a process of the moment; what a login began goes on at any other."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(0, a_source())
        self._fleet = fleet
        self._clients: dict[Server, Client] = {}

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """As a client of one server."""
        await asyncio.sleep(PAUSE_S)
        async with self._fleet.one() as server:
            if server not in self._clients:
                self._clients[server] = Client(server.port, self.source)
            return await self._clients[server].send(method, path, body, headers)

    async def close(self) -> None:
        """Close the connections to all of them."""
        for client in self._clients.values():
            await client.close()


@asynccontextmanager
async def working(fleet: Fleet, ledger: Ledger) -> AsyncIterator[None]:
    """People at work on all processes, until the end of `with`."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(PEOPLE):
            group.create_task(_person(fleet, ledger, over))
        try:
            yield
        finally:
            over.set()


async def _person(fleet: Fleet, ledger: Ledger, over: asyncio.Event) -> None:
    async with Balanced(fleet) as client:
        while not over.is_set():
            try:
                await _live(client, ledger)
            except Cut as cut:
                ledger.note_cut(cut)
            await fleet.worked()


async def _live(client: Client, ledger: Ledger) -> None:
    user_key = await register(client, ledger)
    tokens = [await log_in(client, ledger, user_key) for _ in range(SESSIONS_EACH) if user_key]
    for token in filter(None, tokens):
        await refresh(client, ledger, token)
    if tokens and tokens[0]:
        await revoke(client, ledger, tokens[0])
