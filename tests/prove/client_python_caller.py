"""A program of many tasks that call with the Python client, as a process of its own.

`python -m tests.prove.client_python_caller URL FOLDER` reads from stdin a refresh token, says that
it is ready, reads how many tasks are to call and for how many seconds, and prints what came of it
as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

import httpx

from gatebook_client import GatebookAuth, GatebookError, Tokens

PAUSE_S: Final = 3.0
"""Between two calls of one task, on average: all together they must not be too much for the service
on the same machine, or tokens of two seconds are over before they are looked at."""
OK, REFUSED, OVERLOADED = 200, 401, 503
NICENESS: Final = 5
"""For the same reason callers stand back behind the service."""
FIRST_S: Final = 0.2
"""That the first answer takes longer on its way: whoever begins at the same time needs it too."""


NAMED: Final = 32
"""Characters of a refresh token that say which one it is, and are no secret."""


class SlowAtFirst(httpx.HTTPTransport):
    """The network, over which the first answer comes late."""

    def __init__(self) -> None:
        # As the client's own: no connection is kept from one renewal to the next.
        super().__init__(limits=httpx.Limits(max_keepalive_connections=0))
        self._wait = FIRST_S
        self.shown: list[tuple[str, float]] = []
        """What names session and generation of each refresh token, and when it was shown."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As any, but for the first."""
        token = json.loads(request.content or b"{}").get("refresh_token", "")
        self.shown.append((token[:NAMED], time.time()))
        answer = super().handle_request(request)
        wait, self._wait = self._wait, 0.0
        time.sleep(wait)
        return answer


class Calls:
    """What the tasks have seen."""

    def __init__(self) -> None:
        self.made = 0
        self.slowest = 0.0
        self.wrong: Counter[str] = Counter()
        self.cut: list[tuple[float, float, str]] = []
        """Of each call that got no answer: from when to when (monotonic), and why."""
        self.unavailable = 0
        self.over_on_the_way = 0
        """Refused as expired after longer than the token was still good for when it was sent."""
        self.tokens: set[str] = set()


async def note_sent(request: httpx.Request) -> None:
    """When a request goes out, whatever was waited for before."""
    request.extensions["sent"] = time.time()


async def call(client: httpx.AsyncClient, until: float, calls: Calls) -> None:
    """Ask who one is, again and again; only the token's renewal waits for the service."""
    going = True
    while going:
        started = time.monotonic()
        try:
            answer = await client.get("/me")
        except httpx.TransportError as error:
            # Whether the service was gone in the midst of the call is for the proof to say.
            calls.cut.append((started, time.monotonic(), repr(error)))
        except GatebookError as error:
            calls.wrong[f"{type(error).__name__}: {error}"] += 1
            return
        else:
            calls.made += 1
            calls.slowest = max(calls.slowest, time.monotonic() - started)
            calls.tokens.add(answer.request.headers["Authorization"])
            judge(answer, calls)
        await asyncio.sleep(random.uniform(0, 2 * PAUSE_S))
        going = time.monotonic() < until or not calls.made


def judge(answer: httpx.Response, calls: Calls) -> None:
    """A refusal is wrong, unless the machine was too slow for the token that was sent."""
    if answer.status_code == OVERLOADED:
        calls.unavailable += 1
    elif over_on_the_way(answer):
        calls.over_on_the_way += 1
    elif answer.status_code != OK:
        calls.wrong[f"{answer.status_code} {answer.text[:300]}"] += 1


def over_on_the_way(answer: httpx.Response) -> bool:
    """Whether the call took longer than its token was good for when it was sent."""
    if answer.status_code != REFUSED or answer.json().get("reason") != "expired":
        return False
    sent = answer.request.extensions["sent"]
    token = answer.request.headers["Authorization"].removeprefix("Bearer ")
    return bool(time.time() - sent >= Tokens(token).times.exp - sent > 0)


async def run(client: httpx.AsyncClient, tasks: int, seconds: float) -> Calls:
    """All of them, in one event loop."""
    calls = Calls()
    async with client:
        until = time.monotonic() + seconds
        await asyncio.gather(*(call(client, until, calls) for _ in range(tasks)))
    return calls


def main() -> None:
    """Call, then tell."""
    os.nice(NICENESS)
    url, folder = sys.argv[1:]
    token = sys.stdin.readline().strip()
    cache = Path(folder) / "tokens.json"
    transport = SlowAtFirst()
    auth = GatebookAuth(url, refresh_token=token, cache=cache, transport=transport)
    hooks = {"request": [note_sent]}
    client = httpx.AsyncClient(base_url=url, auth=auth, timeout=30.0, event_hooks=hooks)
    print("ready", flush=True)
    tasks, seconds = (sys.stdin.readline().strip() for _ in range(2))
    calls = asyncio.run(run(client, int(tasks), float(seconds)))
    auth.close()
    told = {
        "calls": calls.made,
        "shown": transport.shown,
        "slowest": calls.slowest,
        "tokens": len(calls.tokens),
        "wrong": dict(calls.wrong),
        "cut": calls.cut,
        "unavailable": calls.unavailable,
        "over_on_the_way": calls.over_on_the_way,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
