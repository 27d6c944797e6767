"""Administrators: they disable and enable, give permissions and take them away, and erase.

An operator has made them so. What they do is asked for over HTTP, of people and of one another.
Knows no store.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.simulation.owners import about, insist, looking, setting
from tests.simulation.people import Person, Tab

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.family import Request

EVERY_S: Final = 5_000.0
_PERMISSIONS: Final = ((), ("users:read", "users:write"))


class Administrator(Person):
    """With one device and one tab."""

    kind = "administrator"

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self._shut_out: list[Person] = []
        self._given: Person | None = None
        self._erased: Person | None = None

    @property
    def source(self) -> str:
        return f"10.{100 + self.number}.0.1"

    async def live(self) -> None:
        await self._register()
        rng = self._rng
        clock = self.clock(0)
        while True:
            family = await self.log_in(rng, clock, self.source)
            await self.world.appoint(family.user_key)
            tab = Tab(family, rng, self.source)
            while not tab.over:
                await asyncio.sleep(rng.expovariate(1 / EVERY_S))
                await tab.refresh()
                if not tab.over:
                    await self._act(tab)

    async def _act(self, tab: Tab) -> None:
        make = self._wish(tab)
        if make is None:
            return
        erased = self._erased
        if erased is not None:
            await insist(tab, partial(looking, tab, erased))
        answer = await insist(tab, make)
        if erased is not None:
            await insist(tab, partial(looking, tab, erased))
        self._erased = None
        if answer is not None and answer.status == 403:
            await self.world.appoint(tab.user_key)
        if answer is not None and answer.status == 200 and self._given is not None:
            self.world.tell(self._given)
        self._given = None

    def _wish(self, tab: Tab) -> Callable[[], Request] | None:
        rng, world = self._rng, self.world
        now = world.now()
        everybody = [*world.people, *world.administrators]
        known = [each for each in everybody if each.user_key and each.settled_at < now]
        if not known:
            return None
        whom, what = rng.choice(known), rng.random()
        if what < 0.35 and world.changes("permissions"):
            admins = whom in world.administrators
            self._given = whom
            given = rng.choice(((), ("admin",)) if admins else _PERMISSIONS)
            return partial(setting, tab, whom, given)
        if what < 0.75 and world.changes("disabling"):
            if self._shut_out and rng.random() < 0.7:
                whom = self._shut_out.pop()
                return partial(_change, tab, "POST", whom, "/enable", "user.enabled")
            self._shut_out.append(whom)
            return partial(_change, tab, "POST", whom, "/disable", "user.disabled")
        if what < 0.83 and world.changes("erasing"):
            self._erased = whom
            return partial(_change, tab, "DELETE", whom, "", "user.erased")
        return partial(looking, tab, whom)


def _change(tab: Tab, method: str, whom: Person, what: str, change: str) -> Request:
    request = about(tab, method, whom, what, needs="users:write")
    request.change = change
    return request
