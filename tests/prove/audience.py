"""Those who ask for revocations besides: some poll the pages, some follow the stream.

Their number is bounded, and each poller rests between two pages. Measures nothing; but whatever
they are told has to be right. Knows no session.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from tests.prove.client import PATIENCE_S, Client, a_source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.prove.tally import Tally

POLLERS: Final = 64
"""At each process."""
FOLLOWERS: Final = 100
"""At one of them, from one source."""
PAUSE_S: Final = 0.02
PAGE: Final = "/revocations?limit=1000"
STREAM: Final = "/revocations/stream"

_ASK: Final = f"GET {STREAM} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()


class Audience:
    """Polls and follows from `begin` to `leave`; each follower is told of `told` revocations."""

    def __init__(self, ports: Sequence[int], told: int, tally: Tally) -> None:
        self._ports = ports
        self._told = told
        self._tally = tally
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._heard = [0] * FOLLOWERS
        self._all_heard = asyncio.Event()

    async def begin(self) -> None:
        """Everybody is there once this returns."""
        source, asking = a_source(), [asyncio.Event() for _ in range(FOLLOWERS)]
        for number, begun in enumerate(asking):
            self._tasks.append(asyncio.create_task(self._follow(number, source, begun)))
        await asyncio.gather(*(begun.wait() for begun in asking))
        for port in self._ports:
            self._tasks += [asyncio.create_task(self._poll(port)) for _ in range(POLLERS)]

    async def leave(self) -> None:
        """Go, once every follower has been told everything, or has waited long enough."""
        self._over.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_heard.wait(), PATIENCE_S)
        wrong = sum(heard != self._told for heard in self._heard)
        self._tally.expect(not wrong, f"{wrong} followers missed something: {self._heard}")
        for task in self._tasks[:FOLLOWERS]:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                self._tally.wrong(f"cut off: {outcome!r}")

    async def _follow(self, number: int, source: str, begun: asyncio.Event) -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self._ports[0], local_addr=(source, 0)
        )
        try:
            writer.write(_ASK)
            head = await reader.readuntil(b"\r\n\r\n")
            self._tally.expect(head.split()[1] == b"200", f"{STREAM}: {head!r}")
            begun.set()
            while line := await reader.readline():
                if line == b"event: revocation\r\n":
                    self._hear(number)
            self._tally.expect(self._over.is_set(), f"{STREAM} ended")
        finally:
            begun.set()
            writer.close()

    def _hear(self, number: int) -> None:
        self._heard[number] += 1
        if self._heard[number] == self._told == min(self._heard):
            self._all_heard.set()

    async def _poll(self, port: int) -> None:
        async with Client(port, a_source()) as client:
            while not self._over.is_set():
                answer = await client.get(PAGE)
                self._tally.expect(answer.status == 200, f"{PAGE}: {answer.status}")
                self._tally.count("pages polled")
                await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def audience(ports: Sequence[int], tally: Tally, told: int) -> AsyncIterator[None]:
    """An audience at these processes, which is told of so many revocations until it leaves."""
    there = Audience(ports, told, tally)
    await there.begin()
    yield
    await there.leave()
