"""A login that races with an end of all sessions: it ends with it, or it began after it.

The end is `DELETE /sessions`, a new secret, a disabled or an erased user, asked of any process
while logins are under way at all of them; the log says which came first. Security rule 17.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, NamedTuple

from domain import events
from tests.prove.client import Client, a_source
from tests.prove.load import SECRET, Begun, Ledger, Refused, register, start
from tests.prove.stored import check_log, grant
from tests.prove.tally import Tally
from tests.running import running, running_all, settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from domain.stream import Recorded
    from tests.prove.client import Answer

PROPERTY: Final = "a login beside an end of all sessions ends with it, or begins after it"
SIZE: Final = 1_000
OF: Final = "races"
STEP: Final = 250
SHORT: Final = 12
STORES: Final = ("sqlite", "postgresql")
ACTORS: Final = 4
LOGINS: Final = 3
"""At once, beside each end."""
A_USER: Final = 12
"""Races."""
WITHIN_S: Final = 0.01
"""By so much at most one waits for the other, besides what the other takes longer of late."""
BREACHES: Final = 24

ENDS: Final = ("end_all", "disabled", "secret_reset", "secret_changed", "erased", "erased_by_other")
OF_NOBODY: Final = ("erased", "erased_by_other")
BEFORE: Final = "logins before {}"
AFTER: Final = "logins after {}, with those that were refused"


class Race(NamedTuple):
    """What a race came to."""

    user_key: str
    how: str
    held: Begun
    """The session that was there before, and kept if any was."""
    begun: list[Begun]
    alive: set[str]
    """Those of the sessions whose tokens worked afterwards."""


def prove(url: str, count: int) -> Tally:
    """Race `count` times on one store."""
    tally, second = Tally(), Tally()
    processes = 2 if url.startswith("postgresql") else 1
    with running_all(*[settings(url)] * processes) as servers:
        races = asyncio.run(_races(url, [each.port for each in servers], count, tally))
    with running(settings(url, TEST_UNCHECKED_LOGIN="1")) as breach:
        doubted = asyncio.run(_races(url, [breach.port], BREACHES, second))
    log = check_log(url, tally)
    judge(log, races, tally)
    judge(log, doubted, second)
    _expect_both_orders(tally, each=count >= STEP)
    noticed = any(each.startswith("survived") for each in second.first)
    tally.control("a login that isn't looked at again", noticed=noticed)
    return tally


async def _races(url: str, ports: Sequence[int], count: int, tally: Tally) -> list[Race]:
    races: list[Race] = []
    numbers = iter(range(count))
    async with Client(ports[0], a_source()) as client:
        administrator = await register(client, Ledger()) or ""
        await asyncio.to_thread(grant, url, administrator, "admin")
        admin = await start(client, administrator)

    took: dict[str, float] = {}

    async def act() -> None:
        arena = Arena(ports, admin, took)
        for number in numbers:
            race = await arena.race(ENDS[number % len(ENDS)], tally)
            races.append(race)
        await arena.close()

    await asyncio.gather(*(act() for _ in range(ACTORS)))
    return races


class Arena:
    """A user at a time, and connections to race over."""

    def __init__(self, ports: Sequence[int], admin: Begun, took: dict[str, float]) -> None:
        """`took` is how many seconds a login and each end took of late, in any arena."""
        source = a_source()
        self._took = took
        self._admin = admin
        self._enders = [Client(port, source) for port in ports]
        self._logins = [Client(ports[each % len(ports)], source) for each in range(LOGINS)]
        self._races = 0
        self._lead = 0.0
        self._user_key = ""
        self._secret = SECRET

    async def close(self) -> None:
        for each in (*self._enders, *self._logins):
            await each.close()

    async def race(self, how: str, tally: Tally) -> Race:
        """Log in while everything ends; then find out what works."""
        ender = random.choice(self._enders)
        if self._races % A_USER == 0:
            self._user_key, self._secret = await register(ender, Ledger()) or "", SECRET
        self._races += 1
        held = await start(ender, self._user_key, self._secret)
        self._lead = self._took.get("login", 0.0) - self._took.get(how, 0.0)
        logins = [self._log_in(each, self._secret) for each in self._logins]
        ended, *answers = await asyncio.gather(self._end(ender, how, held), *logins)
        if ended.status not in {200, 202, 204}:
            raise Refused(f"{how}: {ended.status} {ended.body!r}")
        self._took |= {how: ended.seconds, "login": sorted(e.seconds for e in answers)[1]}
        tally.tried += 1
        begun = [Begun(**each.json) for each in answers if each.status == 200]
        for answer in answers:
            right = answer.status == 200 or (answer.status == 401 and how != "end_all")
            tally.expect(right, f"a login beside {how}: {answer.status} {answer.body!r}")
        if how == "disabled":
            await self._expect_nothing_works([held, *begun], tally, "disabled")
            await self._administer("POST", "enable")
        if how in OF_NOBODY:
            await self._expect_nothing_works([held, *begun], tally, "erased")
            self._races = 0
        alive = {each.session_id for each in (held, *begun) if await self._works(each, tally)}
        tally.count("logins that were refused", LOGINS - len(begun))
        return Race(self._user_key, how, held, begun, alive)

    async def _wait(self, lead: float) -> None:
        """Long enough for both orders: on average until what the other does is as far."""
        await asyncio.sleep(random.uniform(0, 2 * max(0.0, lead) + WITHIN_S))

    async def _log_in(self, client: Client, secret: str) -> Answer:
        await self._wait(-self._lead)
        return await client.post("/authenticate", user_key=self._user_key, user_secret=secret)

    async def _end(self, client: Client, how: str, held: Begun) -> Answer:
        before, after = self._secret, f"{SECRET} {random.randrange(10**9)}"
        await self._wait(self._lead)
        match how:
            case "end_all":
                return await client.call("DELETE", "/sessions", held.access_token)
            case "disabled":
                return await self._administer("POST", "disable")
            case "erased":
                proof = {"user_secret": before}
                return await client.call("POST", "/me/erase", held.access_token, **proof)
            case "erased_by_other":
                return await self._administer("DELETE", "")
            case "secret_reset":
                self._secret = after
                return await self._administer("PUT", "secret", user_secret=after)
            case _:
                self._secret = after
                wish = {"user_secret": before, "new_user_secret": after}
                return await client.call("POST", "/me/secret", held.access_token, **wish)

    async def _administer(self, method: str, what: str, **members: object) -> Answer:
        path = f"/users/{self._user_key}/{what}" if what else f"/users/{self._user_key}"
        client = random.choice(self._enders)
        return await client.call(method, path, self._admin.access_token, via="", **members)

    async def _expect_nothing_works(
        self, sessions: Sequence[Begun], tally: Tally, status: str
    ) -> None:
        for each in sessions:
            works = await self._works(each, tally)
            tally.expect(not works, f"survived: a token of a user who is {status}")
        shown = await self._administer("GET", "")
        found = shown.json.get("status"), shown.json.get("live_sessions")
        tally.expect(found == (status, 0), f"survived: who is {status} has {found}")

    async def _works(self, begun: Begun, tally: Tally) -> bool:
        """Whether both tokens work, or neither."""
        client = random.choice(self._enders)
        refreshed = await client.post("/refresh", refresh_token=begun.refresh_token)
        shown = await client.get("/me", begun.access_token)
        right = refreshed.status == shown.status and refreshed.status in {200, 401}
        tally.expect(right, f"/refresh {refreshed.status}, /me {shown.status}")
        return refreshed.status == 200 or shown.status == 200


class Story:
    """What the log says of all users: when sessions began and ended, and by which request."""

    def __init__(self, log: Iterable[Recorded]) -> None:
        self.began: dict[str, Recorded] = {}
        self.ended: dict[str, Recorded] = {}
        self.ends: dict[str, list[Recorded]] = {}
        """Of each user: the first event of each end of all sessions."""
        self.of: dict[str, list[str]] = {}
        """The sessions of each user."""
        self.strays: set[str] = set()
        """Users who logged in while they were disabled, or erased."""
        disabled = set()
        for recorded in log:
            ends = self.ends.setdefault(recorded.stream, [])
            match recorded.event:
                case events.UserLoggedIn(session_id):
                    self.began[session_id] = recorded
                    self.of.setdefault(recorded.stream, []).append(session_id)
                    if recorded.stream in disabled:
                        self.strays.add(recorded.stream)
                case events.RefreshTokenRevoked(session_id, why):
                    self.ended[session_id] = recorded
                    if why == "end_all" and not (ends and same_request(ends[-1], recorded)):
                        ends.append(recorded)
                case events.UserDisabled() | events.UserErased():
                    disabled.add(recorded.stream)
                    ends.append(recorded)
                case events.UserEnabled():
                    disabled.discard(recorded.stream)
                case events.UserSecretChanged():
                    ends.append(recorded)


def same_request(one: Recorded, other: Recorded) -> bool:
    """Whether two events are of one request."""
    return one.meta.request_id == other.meta.request_id


def _expect_both_orders(tally: Tally, *, each: bool) -> None:
    """Logins came before ends and after them; with `each`, of every way to end: else no race."""
    for when in (BEFORE, AFTER):
        found = [tally.counts.get(when.format(how), 0) for how in ENDS]
        right = all(found) if each else any(found)
        tally.expect(right, f"{when.format('an end')}: {found} of {ENDS}, nothing shown")


def judge(log: Iterable[Recorded], races: Iterable[Race], tally: Tally) -> None:
    """Where the log has a login before the end, it is over; after it, it lives."""
    story = Story(log)
    for race in races:
        stray = race.user_key in story.strays
        tally.expect(not stray, "survived: a login of a disabled or erased user")
        held = story.began[race.held.session_id].position
        ends = story.ends.get(race.user_key, ())
        end = next((each for each in ends if each.position > held), None)
        if end is None:
            tally.wrong(f"no end is recorded of {race.how}")
            continue
        kept = {race.held.session_id} if race.how == "secret_changed" else set()
        for session_id in story.of[race.user_key]:
            if story.began[session_id].position < end.position and session_id not in kept:
                ended = story.ended.get(session_id)
                right = ended is not None and (
                    ended.position < end.position or same_request(ended, end)
                )
                tally.expect(right, f"survived: a session that began before {race.how}")
                tally.expect(session_id not in race.alive, f"survived: a token, {race.how}")
        tally.expect(kept <= race.alive, f"over: the session that {race.how} keeps")
        logins = [story.began.get(each.session_id) for each in race.begun]
        for each in logins:
            _judge_login(race, each, end, tally)
        before = sum(each is not None and each.position < end.position for each in logins)
        tally.count(BEFORE.format(race.how), before)
        tally.count(AFTER.format(race.how), LOGINS - before)


def _judge_login(race: Race, login: Recorded | None, end: Recorded, tally: Tally) -> None:
    if login is None:
        tally.wrong("a login that was answered with success is not in the log")
    elif login.position > end.position:
        right = race.how == "end_all"
        tally.expect(right, f"survived: a login with what {race.how} had ended")
        alive = (
            isinstance(login.event, events.UserLoggedIn) and login.event.session_id in race.alive
        )
        tally.expect(alive, f"over: a login after {race.how}")
