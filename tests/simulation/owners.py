"""What people do to their own user: another secret, an end to it, and what they may of others.

Goes on beside what they do on their devices, with the tokens of those. Knows no store.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from tests.simulation.people import Tab
from tests.simulation.process import Cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.family import Request
    from tests.simulation.people import Person
    from tests.simulation.process import Answer

EVERY_S: Final = 15_000.0
TRIES: Final = 3


class Owner:
    """Of the user that a person is at the time."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._world = person.world
        self._rng = person.world.plan.chance("owner", person.label)

    async def live(self) -> None:
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / EVERY_S))
            tab = self._tab()
            if tab is not None:
                await self._act(tab)

    async def hear(self) -> None:
        """The permissions are others now: tried with the token as it is, and with a new one."""
        await asyncio.sleep(self._rng.uniform(0.1, 30))
        tab = self._tab()
        if tab is None:
            return
        await insist(tab, lambda: self._looking(tab))
        await tab.refresh()
        await insist(tab, lambda: self._looking(tab))
        await insist(tab, lambda: setting(tab, self._person, ("admin",)))

    def _tab(self) -> Tab | None:
        person = self._person
        families = [each for each in person.families if not each.over]
        families = [each for each in families if each.user_key == person.user_key]
        settled = families and self._world.now() > person.settled_at
        return Tab(families[-1], self._rng, person.source) if settled else None

    async def _act(self, tab: Tab) -> None:
        what, world = self._rng.random(), self._world
        await tab.refresh()
        if tab.over:
            return
        if what < 0.8 and world.changes("secrets"):
            await self._change_secret(tab)
        elif what >= 0.8 and world.changes("erasing"):
            await insist(tab, lambda: self._erasing(tab))

    async def _change_secret(self, tab: Tab) -> None:
        secrets = self._person.secrets
        if len(secrets) > 1:
            await self._find_out()
            return
        old, new = secrets.change(self._world.now())

        def changing() -> Request:
            request = tab.request("POST", "/me/secret", {"user_secret": old}, shown=True)
            request.body = msgspec.json.encode({"user_secret": old, "new_user_secret": new})
            request.secret, request.new_secret = old, new
            request.change, request.target = "user.secret_changed", request.user_key
            return request

        answer = await insist(tab, changing)
        if answer is not None and answer.status == 204:
            secrets.changed(new)

    async def _find_out(self) -> None:
        """Which of two secrets it is."""
        person = self._person
        for refused in range(len(person.secrets)):
            secret, now = person.secrets.tried(refused), self._world.now()
            try:
                asked = person.named("/userkey", secret, person.source)
                answer = await self._world.send(asked, self._rng)
            except Cut:
                return
            if answer.status == 200:
                person.secrets.proved(secret, now)
                return

    def _erasing(self, tab: Tab) -> Request:
        secret = self._person.secrets.newest
        request = tab.request("POST", "/me/erase", {"user_secret": secret}, shown=True)
        request.secret = secret
        request.change, request.target = "user.erased", request.user_key
        return request

    def _looking(self, tab: Tab) -> Request:
        return looking(tab, self._person)


def looking(tab: Tab, whom: Person) -> Request:
    """As who may read users does."""
    return about(tab, "GET", whom, "", needs="users:read")


def setting(tab: Tab, whom: Person, permissions: tuple[str, ...]) -> Request:
    """Give exactly these permissions."""
    request = about(tab, "PUT", whom, "/permissions", needs="users:write")
    request.body = msgspec.json.encode({"permissions": permissions})
    request.change, request.gives = "user.permissions_set", permissions
    return request


def about(tab: Tab, method: str, whom: Person, what: str, needs: str) -> Request:
    """A request about somebody, by who has the permission for it."""
    request = tab.request(method, f"/users/{whom.user_key}{what}")
    request.route = f"{method} /users/KEY{what}"
    request.target, request.name, request.needs = whom.user_key, whom.name, needs
    return request


async def insist(tab: Tab, make: Callable[[], Request]) -> Answer | None:
    """Ask until there is an answer that says something, but not for ever."""
    for _ in range(TRIES):
        if tab.over:
            return None
        try:
            answer = await tab.send(make())
        except Cut:
            continue
        if answer.status == 401 and answer.code == "invalid_token":
            await tab.refresh()
        elif answer.status != 503:
            return answer
    return None
