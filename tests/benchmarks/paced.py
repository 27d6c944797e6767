"""Requests at planned moments, whatever becomes of those before: what people do who don't queue.

How long one took is counted from the moment that it was planned for, so that a server that stops
answering isn't spared the requests that waited meanwhile (coordinated omission). Each goes over a
connection that is idle, or over a new one. Knows nothing of the service.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.benchmarks.load import LoadError
from tests.prove.client import Client, Cut

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.prove.client import Answer

PATIENCE_S: Final = 30.0


class Taken(NamedTuple):
    """What one request was answered, and how long after it was to be sent."""

    status: int
    ms: float


async def paced(
    port: int, ask: Callable[[Client], Awaitable[Answer]], rate: float, seconds: float
) -> list[Taken]:
    """Ask so many times a second for so long, and wait for all answers; raises `LoadError`."""
    taken: list[Taken] = []
    idle: deque[Client] = deque()
    async with AsyncExitStack() as connections:

        async def one(planned: float) -> None:
            if not idle:
                idle.append(await connections.enter_async_context(Client(port)))
            client = idle.pop()
            answer = await ask(client)
            taken.append(Taken(answer.status, (time.perf_counter() - planned) * 1_000))
            idle.append(client)

        started = time.perf_counter()
        asked = []
        for number in range(max(1, round(rate * seconds))):
            planned = started + number / rate
            await asyncio.sleep(planned - time.perf_counter())
            asked.append(asyncio.create_task(one(planned)))
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*asked)
        except (TimeoutError, OSError, Cut) as error:
            raise LoadError(f"a request was not answered: {error!r}") from error
        finally:
            for each in asked:
                each.cancel()
    return taken


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that so large a share of the values is not above (nearest rank)."""
    if not values:
        raise ValueError("There are no values.")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
