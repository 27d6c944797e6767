"""A program of many tasks that call with the Python client, as a process of its own.

`python -m tests.prove.client_python_caller URL FOLDER` reads from stdin how many tasks, for how
many seconds, and a refresh token, and prints what came of it as JSON.
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

import httpx

from gatebook_client import GatebookAuth, GatebookError

PAUSE_S = 3.0
"""Between two calls of one task, on average: all together they must not be too much for the service
on the same machine, or tokens of two seconds are over before they are looked at."""
NICENESS = 5
"""For the same reason callers stand back behind the service."""


class Calls:
    """What the tasks have seen."""

    def __init__(self) -> None:
        self.made = 0
        self.slowest = 0.0
        self.wrong: Counter[str] = Counter()
        self.tokens: set[str] = set()


async def call(client: httpx.AsyncClient, until: float, calls: Calls) -> None:
    """Ask who one is, again and again; only the token's renewal waits for the service."""
    while time.monotonic() < until:
        started = time.monotonic()
        try:
            answer = await client.get("/me")
        except httpx.TransportError:
            # The service was gone in the midst of the call: that is not the client's to hide.
            answer = None
        except GatebookError as error:
            calls.wrong[f"{type(error).__name__}: {error}"] += 1
            return
        if answer is not None:
            calls.made += 1
            calls.slowest = max(calls.slowest, time.monotonic() - started)
            calls.tokens.add(answer.request.headers["Authorization"])
            if answer.status_code not in {200, 503}:
                calls.wrong[f"{answer.status_code} {answer.text[:300]}"] += 1
        await asyncio.sleep(random.uniform(0, 2 * PAUSE_S))


async def run(url: str, auth: GatebookAuth, tasks: int, seconds: float) -> Calls:
    """All of them, in one event loop."""
    calls = Calls()
    async with httpx.AsyncClient(base_url=url, auth=auth, timeout=30.0) as client:
        until = time.monotonic() + seconds
        await asyncio.gather(*(call(client, until, calls) for _ in range(tasks)))
    return calls


def main() -> None:
    """Call, then tell."""
    os.nice(NICENESS)
    url, folder = sys.argv[1:]
    tasks, seconds, token = (sys.stdin.readline().strip() for _ in range(3))
    auth = GatebookAuth(url, refresh_token=token, cache=Path(folder) / "tokens.json")
    calls = asyncio.run(run(url, auth, int(tasks), float(seconds)))
    auth.close()
    told = {
        "calls": calls.made,
        "slowest": calls.slowest,
        "tokens": len(calls.tokens),
        "wrong": dict(calls.wrong),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
