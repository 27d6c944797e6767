"""Sessions end, and every follower of the revocations hears of each in time, at any process.

From the answer that a session is over to its event on the stream takes less than a second in 999 of
1,000, whoever else polls and follows meanwhile; heads come as often, and none before a revocation
up to it.
"""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, Final

import httpx

from tests.prove.audience import audience
from tests.prove.client import Client, a_source
from tests.prove.load import SECRET, new_name, start
from tests.prove.tally import Tally
from tests.running import running, running_all, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

PROPERTY: Final = "an end of session is on the stream within a second, in 999 of 1,000"
SIZE: Final = 1_000
OF: Final = "ends"
STEP: Final = 1_000
SHORT: Final = 12
STORES: Final = ("sqlite", "postgresql")
ACTORS: Final = 4
IN_TIME_S: Final = 1.0
HEADS_S: Final = 2.0
"""Between two heads, at most: one comes every second, and takes some time."""
LATE_OF: Final = 1_000
"""One of so many may be late."""
BREACHES: Final = 2
PATIENCE_S: Final = 30.0


def prove(url: str, count: int) -> Tally:
    """End `count` sessions of one store; only in the long form it matters how long it takes."""
    tally, second = Tally(), Tally()
    given = settings(url)
    with running_all(*[given] * (2 if url.startswith("postgresql") else 1)) as servers:
        ports = [each.port for each in servers]
        late, gap = asyncio.run(_try(ports, count, tally, watched=True))
    if count >= STEP:
        tally.expect(late <= count // LATE_OF, f"{late} of {count} came late")
        tally.expect(gap < HEADS_S, f"{gap:.2f} s without a head")
    tally.count("late", late)
    with running(settings(url, TEST_LOOK_EVERY="3")) as breach:
        late, _ = asyncio.run(_try([breach.port], BREACHES, second, watched=False))
    tally.control("a look at the store every three seconds", noticed=late > 0)
    return tally


async def _try(
    ports: Sequence[int], count: int, tally: Tally, *, watched: bool
) -> tuple[int, float]:
    """How many came late, and the longest time between two heads, in s.

    Watched by an audience, if it is to be.
    """
    followers = [Follower(port, tally) for port in ports]
    following = [asyncio.create_task(follower.follow()) for follower in followers]
    await asyncio.gather(*(follower.begun.wait() for follower in followers))
    left = iter(range(count))
    waits: list[float] = []

    async def act() -> None:
        source = a_source()
        clients = [Client(port, source) for port in ports]
        wish = {"user_id": new_name(), "user_secret": SECRET}
        user_key = (await clients[0].post("/register", **wish)).json["user_key"]
        for _ in left:
            waits.append(await _end_one(clients, user_key, followers, tally))
            await asyncio.sleep(random.uniform(0, 0.05))
        for client in clients:
            await client.close()

    async with audience(ports, tally, count) if watched else nullcontext():
        await asyncio.gather(*(act() for _ in range(ACTORS)))
    for task in following:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    tally.figure("slowest, s", max(waits))
    tally.figure("999th of 1,000, s", sorted(waits)[-1 - count // LATE_OF])
    tally.figure("longest without a head, s", max(each.gap for each in followers))
    return sum(wait >= IN_TIME_S for wait in waits), max(each.gap for each in followers)


async def _end_one(
    clients: Sequence[Client], user_key: str, followers: Sequence[Follower], tally: Tally
) -> float:
    """End a session at any process; for how many s the slowest follower didn't know, at least."""
    begun = await start(random.choice(clients), user_key)
    heard = [follower.expect(begun.session_id) for follower in followers]
    answer = await random.choice(clients).post("/revoke", refresh_token=begun.refresh_token)
    answered = asyncio.get_running_loop().time()
    tally.expect(answer.status == 200, f"/revoke: {answer.status} {answer.body[:200]!r}")
    tally.tried += 1
    try:
        moments = await asyncio.wait_for(asyncio.gather(*heard), PATIENCE_S)
    except TimeoutError:
        tally.wrong(f"the end of {begun.session_id} is not on the stream")
        return PATIENCE_S
    return max(0.0, max(moments) - answered)


class Follower:
    """Follows the revocations at one process."""

    def __init__(self, port: int, tally: Tally) -> None:
        self._url = f"http://127.0.0.1:{port}/revocations/stream"
        self._tally = tally
        self._expected: dict[str, asyncio.Future[float]] = {}
        self._told = -1
        self._head_at = 0.0
        self.gap = 0.0
        """The longest time between two heads, in s."""
        self.begun = asyncio.Event()

    def expect(self, session_id: str) -> asyncio.Future[float]:
        """When (s of the loop's time) the end of a session is told."""
        self._expected[session_id] = asyncio.get_running_loop().create_future()
        return self._expected[session_id]

    async def follow(self) -> None:
        """Note everything that is told, until cancelled."""
        async with (
            httpx.AsyncClient(timeout=PATIENCE_S) as client,
            client.stream("GET", self._url) as answer,
        ):
            event = ""
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    self._hear(event, json.loads(value))

    def _hear(self, event: str, told: dict[str, Any]) -> None:
        now = asyncio.get_running_loop().time()
        if event == "head":
            self.gap = max(self.gap, now - self._head_at) if self._head_at else 0.0
            self._head_at = now
            self._told = max(self._told, told["position"])
            self.begun.set()
            return
        late = told["position"] <= self._told
        self._tally.expect(not late, f"{told} came after a head of {self._told}")
        expected = self._expected.pop(told.get("session_id", ""), None)
        if expected is not None:
            expected.set_result(now)
