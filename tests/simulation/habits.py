"""Habits of honest people that come close to a limit: just inside it is good, just past it isn't.

Who drifts through a day meets the last minute of a limit hardly ever, and a mistake that small is
met there alone. What is drawn here is drawn from chance of its own: without habits a plan's run is
what it was. Knows no store.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tests.simulation.clocks import SKEW_S
from tests.simulation.family import DECIDED_S, LATE_S

if TYPE_CHECKING:
    from tests.simulation.family import Family
    from tests.simulation.people import Person, Tab

DAY_S: Final = 86_400.0
"""Nobody waits longer than that for something to be past its time."""
AWAY: Final = 0.25
"""How often somebody goes away who heard nothing."""
TOO_LATE: Final = 0.1
"""How often the window is over then."""
STAYS: Final = 0.4
"""How often a session of few hours is meant to last until its end."""
BEFORE_S: Final = 30.0
BEFORE: Final = 0.05
"""How long before the end it was used: from then, to such a share of the idle limit that a use past
the end isn't worth a record."""
TOLERANCE_S: Final = 60.0
"""Up to which a clock may be off, and so to which somebody might be lenient."""


class Habits:
    """Of one person."""

    def __init__(self, person: Person) -> None:
        self._world = person.world
        self._rng = person.world.plan.chance("habits", person.label)

    def go_away(self, family: Family) -> None:
        """Nothing was heard: perhaps nobody asks again until the retry window is nearly over."""
        world, rng = self._world, self._rng
        asked = family.asked_to_rotate == family.generation != family.missed
        if not asked or not self._world.has("asks late"):
            return
        family.missed = family.generation
        drawn, late, share = rng.random(), rng.random(), rng.random()
        last = world.window - LATE_S - DECIDED_S
        if drawn >= AWAY or last < world.window / 2:
            return
        if late < TOO_LATE:
            after = world.window + DECIDED_S * share
        elif late < 0.5:
            after = last - DECIDED_S * share
        else:
            after = last - (last - world.window / 2) * share
        family.away_until = max(family.away_until, family.asked_at + after)

    async def stay(self, tab: Tab, family: Family) -> None:
        """Use a session a little before its absolute limit, and the next time a little past it."""
        world, rng = self._world, self._rng
        ends_at = family.began_at + world.longest_s
        if not world.has("stays to the end") or world.longest_s > DAY_S or rng.random() >= STAYS:
            return
        last_at = ends_at - rng.uniform(BEFORE_S, BEFORE * world.idle_s)
        past = (SKEW_S, TOLERANCE_S) if rng.random() < 0.7 else (-SKEW_S, 3 * SKEW_S)
        back_at = family.away_until = ends_at + rng.uniform(*past)
        while (left := last_at - world.now()) > 0 and not family.over:
            await asyncio.sleep(min(left, world.idle_s / 2))
            await tab.refresh(anyway=True)
        await asyncio.sleep(max(0.0, back_at - world.now()))
        if not family.over:
            await (tab.use() if rng.random() < 0.6 else tab.refresh())
