"""People with more devices than they may have sessions, who log in on one after the other.

Nobody logs out before: the oldest session is to end, and whoever has it hears of that. Draws from
chance of its own: without this habit a plan's run is what it was. Knows no store.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tests.simulation.people import Tab

if TYPE_CHECKING:
    from tests.simulation.people import Person

EVERY_S: Final = 6_000.0
"""How long until the next one is tried."""
BEYOND: Final = 2
"""So many more than may be live are used at the same time, at most."""
FIRST: Final = 10
"""The number of the first; the others are those on which people live."""


class Devices:
    """Of one person, beside those that are there always."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._world = person.world
        self._rng = person.world.plan.chance("devices", person.label)
        self._used: set[asyncio.Task[None]] = set()

    async def live(self) -> None:
        number = FIRST
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / EVERY_S))
            self._used = {each for each in self._used if not each.done()}
            if self._person.user_key and len(self._used) < self._world.plan.cap + BEYOND:
                await self._take(number)
                number += 1

    async def _take(self, number: int) -> None:
        person, source = self._person, f"10.{self._person.number}.{number % 256}.1"
        rng = self._world.plan.chance("more", person.label, number)
        family = await person.log_in(rng, person.clock(number), source)
        using = asyncio.create_task(Tab(family, rng, source).live())
        using.add_done_callback(self._world.failed)
        self._used.add(using)
