"""Everybody who follows the log hears of each event once and in order, at any process.

People log in at all processes at once, while followers break off and resume where they were.
"""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING, Final

import httpx

from tests.prove.client import Client, a_source
from tests.prove.load import SECRET, new_name, start
from tests.prove.stored import grant
from tests.prove.tally import Tally
from tests.running import running, running_all, settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROPERTY: Final = "a follower of the log hears of each event once and in order"
SIZE: Final = 20_000
OF: Final = "logins"
STEP: Final = 2_000
SHORT: Final = 60
STORES: Final = ("sqlite", "postgresql")
ACTORS: Final = 8
FOLLOWERS: Final = 2
"""At each process; one of them breaks off again and again."""
BREACHES: Final = 8
PATIENCE_S: Final = 60.0


def prove(url: str, count: int) -> Tally:
    """Log in `count` times at the processes of one store, with followers at each."""
    tally, second = Tally(), Tally()
    given = settings(url)
    with running_all(*[given] * (2 if url.startswith("postgresql") else 1)) as servers:
        asyncio.run(_try(url, [each.port for each in servers], count, tally))
    with running(settings(url, TEST_LOSE_EVENTS="1")) as breach:
        asyncio.run(_try(url, [breach.port], BREACHES, second))
    tally.control("a feed that loses events", noticed=second.violations > 0)
    return tally


async def _try(url: str, ports: Sequence[int], count: int, tally: Tally) -> None:
    clients = [Client(port, a_source()) for port in ports]
    token, log_id, head = await _administrator(url, clients[0])
    followers = [
        Follower(port, token, f"{log_id}:{head}", restless=bool(number))
        for port in ports
        for number in range(FOLLOWERS)
    ]
    following = [asyncio.create_task(each.follow()) for each in followers]
    left = iter(range(count))
    await asyncio.gather(*(_act(ports, left) for _ in range(ACTORS)))
    answer = await clients[0].get("/events?order=desc&limit=1", token)
    last = answer.json["items"][0]["position"]
    for each in followers:
        try:
            await asyncio.wait_for(each.reached(last), PATIENCE_S)
        except TimeoutError:
            tally.wrong(f"{last} is not on the stream, {each.positions[-1:]} is the last")
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    expected = list(range(head + 1, last + 1))
    for each in followers:
        tally.expect(each.positions[: len(expected)] == expected, f"{_odd(each.positions, head)}")
        tally.count("resumed", each.resumed)
    tally.count("events", len(expected))
    tally.tried += count
    for client in clients:
        await client.close()


async def _administrator(url: str, client: Client) -> tuple[str, str, int]:
    """The access token of somebody who reads events, the log, and where it ends."""
    wish = {"user_id": new_name(), "user_secret": SECRET}
    user_key = (await client.post("/register", **wish)).json["user_key"]
    await asyncio.to_thread(grant, url, user_key, "events:read")
    token = (await start(client, user_key)).access_token
    log_id = (await client.get("/version")).json["log_id"]
    newest = (await client.get("/events?order=desc&limit=1", token)).json["items"][0]
    return token, log_id, newest["position"]


async def _act(ports: Sequence[int], left: Iterator[int]) -> None:
    """Log in, here and there."""
    source = a_source()
    clients = [Client(port, source) for port in ports]
    wish = {"user_id": new_name(), "user_secret": SECRET}
    user_key = (await clients[0].post("/register", **wish)).json["user_key"]
    for _ in left:
        await start(random.choice(clients), user_key)
    for client in clients:
        await client.close()


def _odd(positions: Sequence[int], head: int) -> str:
    for place, position in enumerate(positions, head + 1):
        if position != place:
            return f"{position} came where {place} is next"
    return f"{len(positions)} events came"


class Follower:
    """Follows the log at one process; a restless one breaks off and resumes."""

    def __init__(self, port: int, token: str, place: str, *, restless: bool) -> None:
        self._url = f"http://127.0.0.1:{port}/events/stream"
        self._token = token
        self._place = place
        self._restless = restless
        self._more = asyncio.Event()
        self.positions: list[int] = []
        self.resumed = -1

    async def follow(self) -> None:
        """Note every event, until cancelled."""
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            while True:
                self.resumed += 1
                await self._once(client)

    async def reached(self, position: int) -> None:
        """Wait until an event came."""
        while not self.positions or self.positions[-1] < position:
            self._more.clear()
            await self._more.wait()

    async def _once(self, client: httpx.AsyncClient) -> None:
        headers = {"Authorization": f"Bearer {self._token}", "Last-Event-ID": self._place}
        left = random.randint(1, 50) if self._restless else -1
        place = ""
        async with client.stream("GET", self._url, headers=headers) as answer:
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    place = value
                elif name == "data":
                    self.positions.append(json.loads(value)["position"])
                    self._place = place
                    self._more.set()
                    left -= 1
                    if not left:
                        return
