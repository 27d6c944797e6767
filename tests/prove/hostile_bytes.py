"""Bytes that are no request, or half of one: no fault, no second meaning, and nobody else waits.

Connections, of which each sends requests with odd lengths, codings, line ends and chunks, known
ambiguous ones, or ordinary ones with some bytes broken. A request hidden in each body is never
answered; what can be understood in two ways is one 400 and the end of the connection. Then a
thousand are connected at once: most idle, some sending their head or body bit by bit; others are
answered all the while, in order when many come in one packet, and whoever is slow is cut off.
Security rules 1, 7 and 8. The controls: a service that reads whatever it can, one that keeps
something of each request, and one with patience.
"""

from __future__ import annotations

import asyncio
import random
import re
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tests.http.framing import AMBIGUOUS
from tests.prove.client import a_source
from tests.prove.crowd import Patience, come_together, is_patient
from tests.prove.framings import DOWN, HIDDEN, LAST, Framing, framings
from tests.prove.memory import Memory
from tests.prove.tally import Tally
from tests.running import running, settings

if TYPE_CHECKING:
    from collections.abc import Iterable

PROPERTY: Final = "odd bytes: no 5xx, no hidden request, memory flat; 1,000 idle hold up nobody"
SIZE: Final = 40_000
OF: Final = "connections"
STEP: Final = 5_000
SHORT: Final = 60
STORES: Final = ("sqlite",)
AT_ONCE: Final = 32
CROWD: Final = (1_000, 40)
"""Connected at once, in the long form and in the short one."""
HASTY_S: Final = 0.5
"""A deadline of the short form; the long one has the service's own."""
PATIENCE: Final = (Patience(5.0, 10.0, 3.0), Patience(HASTY_S, HASTY_S, 6.0))
"""What clients are promised, in the long form, and the short form's; a busy machine needs room."""
QUIET_S: Final = 0.5
"""Without a word, until a connection that isn't closed is taken to have been answered."""
MOST_S: Final = 30.0
BRIEFLY_S: Final = 3.0
"""For an answer of a server that may never give one."""
HOARD: Final = 32_768
_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_COUNTED: Final = re.compile(rb'requests_total\{method="DELETE"[^}]*\} ([0-9.e+]+)')
_METRICS: Final = b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def prove(url: str, count: int) -> Tally:
    """Make `count` connections, and then come in a crowd."""
    tally, seed = Tally(tried=count), secrets.randbits(32)
    short = int(count < STEP)
    brief = {"TEST_HASTY": str(HASTY_S)} if short else {}
    with running(settings(url, **brief)) as server:
        asyncio.run(_Attack(server.port, random.Random(seed), tally).all(count, server.pid))
        asyncio.run(come_together(server.port, CROWD[short], PATIENCE[short], tally))
        asyncio.run(_healthy(server.port, tally))
        tally.expect(server.stop() == 0, "the server did not stop in order")
        tally.expect(b"Traceback" not in server.said, f"a fault: {server.said[-2_000:]!r}")
    _check_breaches(url, tally)
    tally.first = [f"seed {seed}: {each}" for each in tally.first]
    return tally


class _Attack:
    """Sends each framing on a connection of its own, several at a time."""

    def __init__(
        self, port: int, rng: random.Random, tally: Tally, *, patience: float = MOST_S
    ) -> None:
        self._port = port
        self._patience = patience
        self._rng = rng
        self._tally = tally

    async def all(self, count: int, pid: int) -> None:
        await self.send(framings(self._rng, count // 4))
        memory = Memory(pid)
        await self.send(framings(self._rng, count - count // 4))
        memory.judge(self._tally)
        deleted = await self.deleted()
        self._tally.expect(not deleted, f"{deleted:.0f} hidden requests were answered")

    async def send(self, each: Iterable[Framing]) -> None:
        waiting = iter(each)

        async def work() -> None:
            for framing in waiting:
                got = await self.ask(framing.content)
                self._tally.count(framing.kind)
                self._look(framing, got)

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    def _look(self, framing: Framing, got: bytes) -> None:
        tally, told = self._tally, f"{framing.kind}: {framing.content[:400]!r}"
        found = [int(status) for status in _STATUS.findall(got)]
        tally.expect(max(found, default=0) < 500, f"{found} to {told}")
        if framing.ambiguous:
            tally.expect(found == [*framing.before, 400], f"{found}, no single 400, to {told}")
        elif framing.kind == "an odd framing":
            tally.expect(
                found == [400] or (len(found) == 2 and found[-1] == 200), f"{found}: {told}"
            )

    async def ask(self, content: bytes) -> bytes:
        """Everything that is answered until the connection ends, or nothing comes any more."""
        got = b""
        with suppress(ConnectionError):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self._port, local_addr=(a_source(), 0)
            )
            try:
                writer.write(content)
                while True:
                    wait = QUIET_S if got else self._patience
                    part = await asyncio.wait_for(reader.read(65_536), wait)
                    if not part:
                        break
                    got += part
            except TimeoutError:
                self._tally.expect(bool(got), f"no answer to {content[:400]!r}")
            finally:
                writer.close()
        return got

    async def deleted(self) -> float:
        """How many requests with the hidden one's method the service counted."""
        got = await self.ask(_METRICS)
        return sum(map(float, _COUNTED.findall(got)))


async def _healthy(port: int, tally: Tally) -> None:
    got = await _Attack(port, random.Random(0), tally).ask(LAST)
    tally.expect(got.startswith(b"HTTP/1.1 200 "), f"in the end: {got!r}")


def _check_breaches(url: str, tally: Tally) -> None:
    """The controls."""
    found = Tally()
    given = settings(url, TEST_LENIENT="1", TEST_HOARD=str(HOARD), TEST_HASTY="60")
    with running(given) as server:
        patient = asyncio.run(is_patient(server.port))
        attack = _Attack(server.port, random.Random(1), found, patience=BRIEFLY_S)
        smuggled = [Framing("known", DOWN + each + HIDDEN, True) for each in AMBIGUOUS.values()]
        asyncio.run(attack.send(smuggled))
        deleted = asyncio.run(attack.deleted())
        memory = Memory(server.pid)
        asyncio.run(attack.send([Framing("ordinary", LAST, False)] * 450))
        grown = Tally()
        memory.judge(grown)
    tally.control("a reader that takes what it can get", noticed=found.violations > 0)
    tally.control("a hidden request that is answered", noticed=deleted > 0)
    tally.control("a server that keeps something of each request", noticed=grown.violations > 0)
    tally.control("a server that waits for slow clients", noticed=patient)
