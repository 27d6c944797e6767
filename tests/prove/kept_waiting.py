"""Controls of what is answered in time: somebody at a service that has people wait.

He asks while its store can't be written, for longer than anybody may wait. Knows no proof.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from tests.prove.client import Client, a_source
from tests.prove.in_time import CUT_S, REFUSED_S, in_time
from tests.prove.load import Ledger, register
from tests.prove.tally import Tally

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WAITS: Final = {"TEST_NO_DEADLINE": "1"}
"""A service that waits for its store for as long as it takes."""
INSISTS: Final = {**WAITS, "TEST_TRY_AGAIN": "1"}
"""One that besides tries again and again what can't be stored."""
BEYOND_S: Final = CUT_S
"""For how much longer than he may he waits."""
PATIENCE_S: Final = 10.0
"""After which it is clear that nobody waits."""


class Somebody:
    """Registers people, one after another. Belongs to an event loop."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ledger = Ledger()
        self._asked: asyncio.Task[str | None] | None = None

    async def register(self) -> None:
        """In whatever time it takes: from then on the service has the connections that it needs."""
        await register(self._client, self._ledger)
        self._ledger.slowest.clear()

    def ask(self) -> None:
        """Begin to register somebody."""
        self._asked = asyncio.create_task(register(self._client, self._ledger))

    async def wait(self) -> None:
        """Until he has waited for longer than he may."""
        await waited(self._client)

    async def heard_late(self, when: str) -> bool:
        """Whether it shows that what he asked for was answered too late."""
        assert self._asked is not None
        await self._asked
        tally = Tally()
        in_time(self._ledger, when, 0.0, tally)
        return tally.violations > 0


@asynccontextmanager
async def somebody(port: int) -> AsyncIterator[Somebody]:
    """One who has registered somebody already."""
    async with Client(port, a_source()) as client:
        one = Somebody(client)
        await one.register()
        yield one


async def waited(*clients: Client) -> None:
    """Until each of them has waited for longer than he may, or it is clear that one doesn't."""
    clock = asyncio.get_running_loop().time
    until = clock() + PATIENCE_S
    while clock() < until:
        since = [client.asked_at or clock() for client in clients]
        if all(clock() > asked + REFUSED_S + BEYOND_S for asked in since):
            return
        await asyncio.sleep(0.01)
