"""The network between people and processes: late, and sometimes it loses a message or copies it.

Knows requests and answers, and not what is in them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.simulation.family import DECIDED_S, LATE_S, PATIENCE_S, Request
from tests.simulation.process import Answer, Cut

if TYPE_CHECKING:
    import random

    from tests.simulation.virtual_time import VirtualLoop
    from tests.simulation.world import World


class Network:
    """Between the people of a world and its processes."""

    def __init__(self, world: World, loop: VirtualLoop) -> None:
        self._world = world
        self._loop = loop

    async def send(self, request: Request, rng: random.Random) -> Answer:
        """As a client sends a request; raises `Cut` when it hears nothing in time."""
        fate, place = rng.random(), rng.random()
        late = rng.uniform(0.005, 0.2) if rng.random() < 0.95 else rng.uniform(0.2, LATE_S)
        copied = rng.random() < 0.04 and self._world.may("duplicate")
        copy_late = rng.uniform(0.01, LATE_S)
        sent_at = self._world.now()
        if copied:
            request.copied = True
            self._loop.create_task(
                self._copy(request, place, copy_late, sent_at)
            ).add_done_callback(self._world.failed)
        if fate < 0.05 and self._world.may("lost request"):
            await self._unheard(sent_at)
        await asyncio.sleep(late)
        answer = await self._deliver(request, place, sent_at)
        await asyncio.sleep(late / 2)
        lost = fate > 0.95 and self._world.may("lost answer")
        if lost or self._world.now() - sent_at > PATIENCE_S:
            await self._unheard(sent_at)
        return answer

    async def _unheard(self, sent_at: float) -> None:
        await asyncio.sleep(max(0.0, sent_at + PATIENCE_S - self._world.now()))
        raise Cut

    async def _copy(self, request: Request, place: float, late: float, sent_at: float) -> None:
        await asyncio.sleep(late)
        with suppress(Cut):
            await self._deliver(request, place * 7 % 1, sent_at)

    async def _deliver(self, request: Request, place: float, sent_at: float) -> Answer:
        world = self._world
        process = world.processes[int(place * len(world.processes))]
        headers = [(b"user-agent", request.agent)]
        if request.bearer:
            headers.append((b"authorization", b"Bearer " + request.bearer.encode()))
        if request.body or not request.bearer:
            headers.append((b"content-type", b"application/json"))
        self._late(request, sent_at)
        world.look()
        arrival = world.judge.arrives(request, world.now())
        try:
            answer = await process.ask(
                request.method, request.path, request.body, headers, request.source
            )
        except Cut:
            world.step(f"{request.label} {request.told} cut")
            raise
        world.judged(request, arrival, answer)
        return answer

    def _late(self, request: Request, sent_at: float) -> None:
        """While a process waits for its store, time passes for everybody, and for what is sent.

        What comes so late as no network brings it is no duplicate that anybody has to reckon with.
        """
        family, world = request.family, self._world
        if family is not None and world.now() - sent_at > LATE_S + DECIDED_S:
            family.beyond = True
        if family is not None and family.asked_to_rotate:
            asked_s = world.now() - family.asked_at
            family.beyond = family.beyond or asked_s > world.window - DECIDED_S
