"""Honest people with several devices, and several tabs on each.

An honest client keeps to the rules that `docs/explanation/life-of-a-session.md` has for it. What
it shows is the newest token that any of its tabs has heard of. Who hears nothing asks again,
within the retry window; who heard of a successor late uses it once nothing that shows the one
before can be under way any more, and nobody asks for the next one sooner. Knows no store.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from tests.simulation.clocks import SKEW_S, OwnClock
from tests.simulation.family import DECIDED_S, LATE_S, Family, Request, rest
from tests.simulation.habits import DAY_S, Habits
from tests.simulation.own_secrets import Secrets
from tests.simulation.process import Cut
from tests.simulation.shown import claims_of

if TYPE_CHECKING:
    import random

    from tests.simulation.process import Answer
    from tests.simulation.world import World

SOON_S: Final = 600.0
END_ALL_S: Final = LATE_S + DECIDED_S
SETTLED_S: Final = 2 * END_ALL_S
"""After a registration nothing is under way any more that came of it."""


class Person:
    """Registers, logs in on some devices, lives; logs in again when a session is over."""

    kind = "person"

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.label = f"{self.kind} {number}"
        self.name = f"{self.kind}{number}"
        self.user_key = ""
        self.secrets = Secrets()
        self.families: list[Family] = []
        self.ends_all_at = -1e9
        self.settled_at = 0.0
        self._returns = False
        self._rng = world.plan.chance(self.kind, number)
        self.habits = Habits(self)

    async def live(self) -> None:
        await self._register()
        devices = self._rng.choice((1, 1, 2))
        await asyncio.gather(*(self._device(number) for number in range(devices)))

    async def _register(self) -> None:
        unsure = taken = False
        while not self.user_key:
            ask = taken or (unsure and self._rng.random() < 0.5)
            path = "/userkey" if ask else "/register"
            sent = self.named(path, self.secrets.newest)
            try:
                answer = await self.world.send(sent, self._rng)
            except Cut:
                unsure = True
            else:
                self.world.expect(
                    answer.status != 409 or unsure or sent.copied,
                    "taken",
                    f"{self.label} is told so of the own name",
                )
                if answer.status in {200, 201}:
                    self._known_as(answer.json["user_key"])
                self.world.expect(
                    answer.status != 401 or not taken,
                    "taken",
                    f"{self.label} is told so of a name that nobody has",
                )
                taken = taken or answer.status == 409
                unsure = unsure or sent.copied or answer.status == 503
            await asyncio.sleep(self._rng.uniform(0.1, 2))

    def _known_as(self, user_key: str) -> None:
        self.user_key = user_key
        self.settled_at = self.world.now() + SETTLED_S

    async def _device(self, number: int) -> None:
        rng = self.world.plan.chance("device", self.number, number)
        clock = self.clock(number)
        while True:
            family = await self.log_in(rng, clock, f"10.{self.number}.{number}.1")
            tabs = [
                Tab(family, rng, f"10.{self.number}.{number}.1")
                for _ in range(rng.choice((1, 1, 2, 3)))
            ]
            staying = self.habits.stay(tabs[0], family)
            await asyncio.gather(*(each.live() for each in tabs), staying)

    def clock(self, number: int) -> OwnClock:
        """Of one of the own devices."""
        own = self.world.plan.chance("clock of", self.number, number)
        return OwnClock(self.world.clocks, own, skewed=self.world.may("skewed clock"))

    async def log_in(self, rng: random.Random, clock: OwnClock, source: str) -> Family:
        """A session, however long that takes and under whatever user_key."""
        refused = 0
        while True:
            sent_at = self.world.now()
            secret = self.secrets.tried(refused)
            sent = self._login("/authenticate", secret, source, user_key=self.user_key)
            try:
                answer = await self.world.send(sent, rng)
            except Cut:
                answer = None
            if answer is not None and answer.status == 200:
                self.secrets.proved(secret, sent_at)
                return self._begin(answer, clock, sent_at, sent.user_key)
            if answer is not None and answer.status == 401:
                refused += 1
                if refused % len(self.secrets) == 0:
                    await self._return(rng, source)
            await asyncio.sleep(rng.uniform(0.1, 2))

    async def _return(self, rng: random.Random, source: str) -> None:
        """No secret is right: perhaps the user is erased, and the name may be had again."""
        await asyncio.sleep(rng.uniform(300, 4_000))
        if self._returns:
            return
        self._returns = True
        own, secret = self.user_key, self.secrets.next_life
        try:
            path = "/userkey" if self.secrets.perhaps_alive and rng.random() < 0.5 else "/register"
            self.secrets.perhaps_alive = True
            answer = await self.world.send(self.named(path, secret, source), rng)
            if answer.status in {200, 201} and self.user_key == own:
                self.secrets.begin_again()
                self._known_as(answer.json["user_key"])
                self.world.counts["came back under the own name"] += 1
        except Cut:
            pass
        finally:
            self._returns = False

    def _begin(self, answer: Answer, clock: OwnClock, sent_at: float, user_key: str) -> Family:
        token, access_token = answer.json["refresh_token"], answer.json["access_token"]
        now = self.world.now()
        family = Family(
            self,
            clock,
            user_key,
            token[4:26],
            token,
            access_token,
            access_at=now,
            last_good_at=now,
            began_at=now,
        )
        family.ended_by_owner = self.ends_all_at + END_ALL_S > sent_at
        self.families.append(family)
        return family

    @property
    def source(self) -> str:
        """Where the first device is."""
        return f"10.{self.number}.0.1"

    def named(self, path: str, secret: str, source: str = "127.0.0.1") -> Request:
        """A request of the own name."""
        request = self._login(path, secret, source, user_id=self.name)
        request.name = self.name
        return request

    def _login(self, path: str, secret: str, source: str, **members: str) -> Request:
        body = msgspec.json.encode({**members, "user_secret": secret})
        request = Request(self.label, "POST", path, body, source=source, user_key=self.user_key)
        request.secret = secret
        return request


class Tab:
    """One of several programs that share a session's tokens; `rng` is the device's."""

    def __init__(self, family: Family, rng: random.Random, source: str) -> None:
        self._family = family
        self._rng = rng
        self._world = family.owner.world
        self._source = source

    @property
    def over(self) -> bool:
        return self._family.over

    @property
    def user_key(self) -> str:
        return self._family.user_key

    async def send(self, request: Request) -> Answer:
        """As `World.send`."""
        return await self._world.send(request, self._rng)

    async def live(self) -> None:
        family, rng = self._family, self._rng
        while not family.over:
            await asyncio.sleep(self._rest())
            if family.away_until > self._world.now():
                await asyncio.sleep(family.away_until - self._world.now())
            if family.over:
                return
            what = rng.random()
            if what < 0.75:
                await self.refresh()
            elif what < 0.97:
                await self.use()
            elif what < 0.99:
                await self._end("POST", "/revoke")
            else:
                await self._end("DELETE", "/sessions")

    def _rest(self) -> float:
        """For a while, or until something is about to be past its time, or just was."""
        family, rng, world = self._family, self._rng, self._world
        if rng.random() >= 0.04:
            return rest(rng)
        since, limit_s = rng.choice(
            (
                (family.last_good_at, world.access_s),
                (family.last_good_at, world.idle_s),
                (family.began_at, world.longest_s),
            )
        )
        left = since + limit_s - world.now()
        if not 0 < left < DAY_S:
            return rest(rng)
        if since == family.began_at and left > SOON_S:
            # A use that is near enough to the end not to be followed by a recorded one.
            return left - rng.uniform(0, SOON_S)
        return max(0.0, left + rng.uniform(-SKEW_S, 3 * SKEW_S))

    async def refresh(self, *, anyway: bool = False) -> None:
        """A new access token, however long that takes, unless the session is over.

        `anyway` is for the one program that is at it while the others are away.
        """
        family, rng, world = self._family, self._rng, self._world
        rotate = rng.random() < 0.5
        while not family.over:
            rotates = rotate or family.asked_to_rotate == family.generation
            changes = rotates or world.always_rotates
            usable_from = family.rotatable_from if changes else family.usable_from
            usable_from = usable_from if anyway else max(usable_from, family.away_until)
            if usable_from > world.now():
                await asyncio.sleep(usable_from - world.now())
                continue
            if await self._try(rotates):
                return
            await asyncio.sleep(rng.uniform(0.2, 1))

    async def _try(self, rotate: bool) -> bool:
        """Whether it was answered."""
        family, world = self._family, self._world
        generation, now = family.generation, world.now()
        if (rotate or world.always_rotates) and family.asked_to_rotate != generation:
            family.asked_to_rotate, family.asked_at = generation, now
        if family.asked_to_rotate == generation:
            too_late = world.window - LATE_S - DECIDED_S
            family.beyond = family.beyond or now - family.asked_at > too_late
        family.sent_at = now
        body = {"refresh_token": family.token} | ({"rotate": True} if rotate else {})
        request = self.request("POST", "/refresh", body)
        request.rotate = rotate or world.always_rotates
        try:
            answer = await world.send(request, self._rng)
        except Cut:
            family.owner.habits.go_away(family)
            return False
        if answer.status == 200:
            self._took(answer, now)
            return True
        if answer.status == 401 and answer.reason != "retired":
            family.over = True
        return answer.status == 401 and family.generation != generation

    def _took(self, answer: Answer, sent_at: float) -> None:
        family, now = self._family, self._world.now()
        given = answer.json
        family.access_token, family.access_at = given["access_token"], sent_at
        family.last_good_at = now
        if "refresh_token" in given:
            token = given["refresh_token"]
            family.heard(token, self._world.generation_of(token), now)

    async def use(self) -> None:
        """The access token, which is renewed when it seems to be over, and once it is refused."""
        family = self._family
        if claims_of(family.access_token)["exp"] <= family.clock():
            await self.refresh()
            if family.over:
                return
        request = self.request("GET", "/me")
        try:
            answer = await self._world.send(request, self._rng)
        except Cut:
            return
        if answer.status == 401:
            await self.refresh()

    async def _end(self, method: str, path: str) -> None:
        family, world = self._family, self._world
        family.ended_by_owner = True
        if path == "/sessions":
            family.owner.ends_all_at = world.now()
            for each in family.owner.families:
                each.ended_by_owner = True
        body = {"refresh_token": family.token} if path == "/revoke" else None
        for _ in range(5):
            try:
                answer = await world.send(self.request(method, path, body), self._rng)
            except Cut:
                continue
            if answer.status in {200, 204}:
                break

    def request(
        self, method: str, path: str, body: object = None, *, shown: bool = False
    ) -> Request:
        """What shows the access token; with a body only if it is `shown` beside that."""
        family = self._family
        return Request(
            family.owner.label,
            method,
            path,
            b"" if body is None else msgspec.json.encode(body),
            bearer=family.access_token if shown or body is None else "",
            source=self._source,
            family=family,
            generation=family.generation,
            user_key=family.user_key,
            access_at=family.access_at,
        )
