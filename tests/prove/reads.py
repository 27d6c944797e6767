"""What is read goes on while nothing can be written, as security rule 27 has it.

Knows no store.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from tests.prove.client import Client, a_source
from tests.prove.in_time import REFUSED_S
from tests.prove.load import log_in, refresh, register

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.prove.load import Ledger
    from tests.prove.tally import Tally

STORELESS: Final = (
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/healthz",
)
"""What is answered without the store."""
PATIENCE_S: Final = 30.0
PAUSE_S: Final = 0.01


class Reader:
    """Somebody with a session, who only reads from now on."""

    def __init__(self, client: Client, token: str) -> None:
        self._client = client
        self._token = token

    async def read_until(
        self, done: Callable[[], bool], when: str, more: float, tally: Tally
    ) -> None:
        """Every read is answered as ever, until that is so."""
        clock = asyncio.get_running_loop().time
        until, slowest = clock() + PATIENCE_S, 0.0
        while not done() and clock() < until:
            found = {"/refresh": await self._client.post("/refresh", refresh_token=self._token)}
            found |= {path: await self._client.get(path) for path in STORELESS}
            for path, answer in found.items():
                tally.expect(answer.status == 200, f"{path} {when}: {answer.body[:200]!r}")
                slowest = max(slowest, answer.seconds)
            await asyncio.sleep(PAUSE_S)
        tally.expect(done(), f"what was waited for {when} was not so in {PATIENCE_S} s")
        tally.figure(f"slowest read {when}, s", slowest)
        tally.expect(slowest <= REFUSED_S + more, f"a read took {slowest:.1f} s {when}")


@asynccontextmanager
async def reading(port: int, ledger: Ledger) -> AsyncIterator[Reader]:
    """A reader, of whose network the service knows: that is written when it is new."""
    async with Client(port, a_source()) as client:
        user_key = await register(client, ledger) or ""
        token = await log_in(client, ledger, user_key) or ""
        await refresh(client, ledger, token)
        yield Reader(client, token)


async def is_not_ready(port: int, when: str, more: float, tally: Tally) -> None:
    """`/readyz` says that the store can't be written, once it has looked anew."""
    clock = asyncio.get_running_loop().time
    until = clock() + REFUSED_S + more
    async with Client(port, a_source()) as client:
        answer = await client.get("/readyz")
        while answer.status == 200 and clock() < until:
            await asyncio.sleep(PAUSE_S)
            answer = await client.get("/readyz")
    tally.expect(answer.status == 503, f"/readyz {when}: {answer.status} {answer.body!r}")
