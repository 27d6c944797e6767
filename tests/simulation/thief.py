"""A thief, who keeps to no rule.

Knows no store.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from tests.simulation.family import Family, Request, rest
from tests.simulation.process import Cut

if TYPE_CHECKING:
    from tests.simulation.world import World


class Thief:
    """Copies a refresh token at a random moment, and uses what comes of it for a while."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._number = number
        self._rng = world.plan.chance("thief", number)

    async def live(self) -> None:
        rng = self._rng
        while True:
            await asyncio.sleep(rng.expovariate(1 / 3_000))
            people = self._world.people
            families = [each for person in people for each in person.families if not each.over]
            if families:
                await self._exploit(rng.choice(families[-4:]))

    async def _exploit(self, family: Family) -> None:
        rng, world = self._rng, self._world
        family.stolen = True
        token = family.token
        for _ in range(rng.randint(1, 6)):
            await asyncio.sleep(rest(rng))
            rotate = rng.random() < 0.7
            body = {"refresh_token": token} | ({"rotate": True} if rotate else {})
            request = Request(
                f"thief {self._number}",
                "POST",
                "/refresh",
                msgspec.json.encode(body),
                source="203.0.113.9",
                agent=b"thief",
                family=family,
                generation=world.generation_of(token),
                rotate=rotate or world.always_rotates,
                honest=False,
                user_key=family.user_key,
            )
            try:
                answer = await world.send(request, rng)
            except Cut:
                continue
            if answer.status == 401:
                return
            if answer.status == 200:
                token = answer.json.get("refresh_token", token)
