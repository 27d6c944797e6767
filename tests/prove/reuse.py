"""A retired token that comes back: too late or too old ends its session, soon harms nobody.

What ends a session is in the log when the first refusal arrives, once, however many present the
token. Of each victim's user another session goes on. Some of the times that the rules know are
waited for, when there are enough sessions to wait together.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from app.eventstore.log import read_stream
from domain import events
from tests.prove.client import Client, a_source
from tests.prove.load import Begun, Ledger, Refused, register, start
from tests.prove.stored import by_session, check_log, opened
from tests.prove.tally import Tally
from tests.running import running, running_all, settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from app.store import Store
    from domain.stream import Recorded
    from tests.prove.client import Answer

PROPERTY: Final = "a retired token: reuse ends its session alone, once, before the refusal"
SIZE: Final = 1_000
OF: Final = "sessions"
STEP: Final = 250
SHORT: Final = 16
STORES: Final = ("sqlite", "postgresql")
ACTORS: Final = 4
CROWD: Final = 64
CROWDED: Final = 0.2
"""How often a whole crowd presents the token at once."""
A_USER: Final = 8
"""Victims."""
BREACHES: Final = 6

DUPLICATE_S: Final = 10.0
"""So long after its rotation a duplicate may come; the server's figure."""
LATE_S: Final = DUPLICATE_S + 0.5
CAME: Final = "duplicates"
LATE: Final = "duplicates that came too late to tell"
"""What is counted: on a machine so slow that most are late, nothing is shown of them."""
WINDOW_S: Final = 1
OUTSIDE_S: Final = WINDOW_S + 0.5


def prove(url: str, count: int) -> Tally:
    """Present a retired token of `count` sessions of one store."""
    tally, second = Tally(), Tally()
    victims: list[Victim] = []
    processes = 2 if url.startswith("postgresql") else 1
    waiting = count // 5 if count >= STEP else 0
    with opened(url) as store:
        with running_all(*[settings(url)] * processes) as servers:
            stage = Stage([each.port for each in servers], store, tally)
            victims += asyncio.run(stage.play(AT_ONCE, count - 2 * waiting))
            victims += asyncio.run(stage.play(LATER, waiting))
        if waiting:
            narrow = settings(url, REFRESH_RETRY_WINDOW=f"{WINDOW_S}")
            with running_all(*[narrow] * processes) as servers:
                stage = Stage([each.port for each in servers], store, tally)
                victims += asyncio.run(stage.play(OUTSIDE, waiting))
        with running(settings(url, TEST_LATE_RECORD="0.5")) as breach:
            asyncio.run(Stage([breach.port], store, second).play((_too_old,), BREACHES))
    noticed = any("not recorded before" in each for each in second.first)
    tally.control("a refusal before its record", noticed=noticed)
    _judge(check_log(url, tally), victims, tally)
    came, late = tally.counts.get(CAME, 0), tally.counts.get(LATE, 0)
    tally.expect(came > 0, "no duplicate was tried: nothing shown")
    tally.expect(2 * late <= came, f"of {came} duplicates {late} came too late to tell")
    return tally


class Victim:
    """A session, the tokens that it has had, and what has to become of it."""

    def __init__(self, user_key: str, begun: Begun) -> None:
        self.user_key = user_key
        self.session_id = begun.session_id
        self.access_token = begun.access_token
        self.tokens = [begun.refresh_token]
        self.asked_at = 0.0
        self.rotated_at = 0.0
        """Before the last rotation was asked for, and after it was answered."""
        self.reused: int | None = None
        """The generation whose reuse has ended it."""


class Stage:
    """The processes of one store, on which victims are brought up and met."""

    def __init__(self, ports: Sequence[int], store: Store, tally: Tally) -> None:
        self.store = store
        self.tally = tally
        self._ports = ports
        self._source = a_source()
        self._clients: list[Client] = []

    def client(self) -> Client:
        """A connection that nobody uses now, to any process."""
        port = random.choice(self._ports)
        for each in self._clients:
            if each.port == port:
                self._clients.remove(each)
                return each
        return Client(port, self._source)

    async def ask(self, method: str, path: str, token: str = "", **members: object) -> Answer:
        """One request on such a connection."""
        client = self.client()
        try:
            return await client.call(method, path, token, via="", **members)
        finally:
            self._clients.append(client)

    async def play(self, cases: Sequence[Case], count: int) -> list[Victim]:
        """Bring up `count` victims, for each case in turn, and go on to their ends."""
        victims: list[Victim] = []
        users: asyncio.Queue[tuple[str, Begun]] = asyncio.Queue()
        together = ACTORS if cases is AT_ONCE else max(1, count)
        busy = asyncio.Semaphore(together)

        async def one(case: Case) -> None:
            async with busy:
                user_key, bystander = await users.get()
                victim = Victim(user_key, await self._start(user_key))
                victims.append(victim)
                await case(self, victim)
                other = await self.ask("POST", "/refresh", refresh_token=bystander.refresh_token)
                self.tally.expect(other.status == 200, f"another session: {other.body!r}")
                await self.ask("POST", "/revoke", refresh_token=victim.tokens[-1])
                self.tally.tried += 1

        for _ in range(0, count, A_USER):
            async with Client(self._ports[0], self._source) as client:
                user_key = await register(client, Ledger()) or ""
            user = user_key, await self._start(user_key)
            for _ in range(A_USER):
                users.put_nowait(user)
        await asyncio.gather(*(one(cases[each % len(cases)]) for each in range(count)))
        for client in self._clients:
            await client.close()
        self._clients.clear()
        return victims

    async def _start(self, user_key: str) -> Begun:
        client = self.client()
        try:
            return await start(client, user_key)
        finally:
            self._clients.append(client)

    async def rotate(self, victim: Victim, times: int = 1) -> None:
        """Give it so many more generations."""
        for _ in range(times):
            victim.asked_at = time.monotonic()
            answer = await self.ask(
                "POST", "/refresh", refresh_token=victim.tokens[-1], rotate=True
            )
            if answer.status != 200:
                raise Refused(f"a rotation: {answer.status} {answer.body!r}")
            victim.rotated_at = time.monotonic()
            victim.tokens.append(answer.json["refresh_token"])
            victim.access_token = answer.json["access_token"]

    async def use(self, victim: Victim) -> None:
        """Use the newest token."""
        answer = await self.ask("POST", "/refresh", refresh_token=victim.tokens[-1])
        self.tally.expect(answer.status == 200, f"the newest token: {answer.body!r}")

    async def present(self, victim: Victim, number: int) -> list[str]:
        """Show one of its tokens, alone or in a crowd; what was answered, in a word each."""
        crowd = CROWD if random.random() < CROWDED else 1
        clients = [self.client() for _ in range(crowd)]
        first = True

        async def show(client: Client) -> str:
            nonlocal first
            token = victim.tokens[number]
            answer = await client.post("/refresh", refresh_token=token, rotate=True)
            if answer.status == 200:
                return str(answer.json["refresh_token"])
            reason = str(answer.json.get("reason", answer.status))
            if reason == "reused" and first:
                first = False
                recorded = self._recorded(victim)
                self.tally.expect(recorded, "a reuse was not recorded before its refusal")
            return reason

        try:
            return await asyncio.gather(*(show(client) for client in clients))
        finally:
            self._clients += clients

    def _recorded(self, victim: Victim) -> bool:
        with self.store.storage.snapshot() as rows:
            stream = [record.recorded().event for record in read_stream(rows, victim.user_key)]
        reused = any(
            isinstance(each, events.RefreshTokenReuseDetected)
            and each.session_id == victim.session_id
            for each in stream
        )
        return reused and events.RefreshTokenRevoked(victim.session_id, "reuse") in stream

    async def expect_reuse(self, victim: Victim, number: int) -> None:
        """Presented, it is refused as reused, and the session is over."""
        victim.reused = number + 1
        found = await self.present(victim, number)
        self.tally.expect({*found} == {"reused"}, f"reuse was answered {found}")
        await self._is_over(victim)

    async def expect_duplicate(self, victim: Victim) -> None:
        """Presented, the one before the newest is refused as retired, and the session lives."""
        found = await self.present(victim, -2)
        self.tally.count(CAME)
        if time.monotonic() - victim.asked_at >= DUPLICATE_S:
            victim.reused = None if {*found} == {"retired"} else len(victim.tokens) - 1
            self.tally.count(LATE)
            return
        self.tally.expect({*found} == {"retired"}, f"a duplicate was answered {found}")
        await self._lives(victim)

    async def expect_successor(self, victim: Victim) -> None:
        """Presented, the one before the newest gets the newest, and the session lives."""
        found = await self.present(victim, -2)
        self.tally.expect({*found} == {victim.tokens[-1]}, f"a repeat was answered {found}")
        await self._lives(victim)

    async def _is_over(self, victim: Victim) -> None:
        shown = await self.ask("GET", "/me", victim.access_token)
        self.tally.expect(shown.status == 401, f"/me after reuse: {shown.status}")
        for token in {victim.tokens[-1], random.choice(victim.tokens)}:
            again = await self.ask("POST", "/refresh", refresh_token=token)
            right = again.status == 401 and again.json.get("reason") == "reused"
            self.tally.expect(right, f"/refresh after reuse: {again.status} {again.body!r}")

    async def _lives(self, victim: Victim) -> None:
        await self.use(victim)
        shown = await self.ask("GET", "/me", victim.access_token)
        self.tally.expect(shown.status == 200, f"/me of a session that lives: {shown.body!r}")


Case = Callable[[Stage, Victim], Awaitable[None]]


async def _too_old(stage: Stage, victim: Victim) -> None:
    """An older generation, at once."""
    await stage.rotate(victim, random.randint(2, 5))
    if random.random() < 0.5:
        await stage.use(victim)
    await stage.expect_reuse(victim, random.randrange(len(victim.tokens) - 2))


async def _delayed(stage: Stage, victim: Victim) -> None:
    """The one before the newest, soon, when the newest was used already."""
    await stage.rotate(victim, random.randint(1, 3))
    await stage.use(victim)
    await stage.expect_duplicate(victim)


async def _unheard(stage: Stage, victim: Victim) -> None:
    """The one before the newest, when nobody has used the newest: an answer was lost."""
    await stage.rotate(victim, random.randint(1, 3))
    await stage.expect_successor(victim)


async def _used_and_late(stage: Stage, victim: Victim) -> None:
    """The one before the newest, within the window; but the newest was used, long ago."""
    await stage.rotate(victim, random.randint(1, 3))
    await stage.use(victim)
    await _wait(victim, LATE_S)
    await stage.expect_reuse(victim, len(victim.tokens) - 2)


async def _unheard_for_long(stage: Stage, victim: Victim) -> None:
    """As `_unheard`, later than any duplicate; the window is as wide as it is by default."""
    await stage.rotate(victim, random.randint(1, 3))
    await _wait(victim, LATE_S)
    await stage.expect_successor(victim)


async def _outside_and_late(stage: Stage, victim: Victim) -> None:
    """The one before the newest, unused, after the window and later than any duplicate."""
    await stage.rotate(victim, random.randint(1, 3))
    await _wait(victim, LATE_S)
    await stage.expect_reuse(victim, len(victim.tokens) - 2)


async def _outside(stage: Stage, victim: Victim) -> None:
    """The same, after the window and soon."""
    await stage.rotate(victim, random.randint(1, 3))
    await _wait(victim, OUTSIDE_S)
    await stage.expect_duplicate(victim)


async def _wait(victim: Victim, seconds: float) -> None:
    await asyncio.sleep(max(0.0, victim.rotated_at + seconds - time.monotonic()))


AT_ONCE: Final = (_too_old, _delayed, _unheard)
LATER: Final = (_used_and_late, _unheard_for_long)
OUTSIDE: Final = (_outside_and_late, _outside)


def _judge(log: Iterable[Recorded], victims: Sequence[Victim], tally: Tally) -> None:
    """Of each reuse one detection and its end, which follows it; of all else neither."""
    happened = by_session(log)
    ends = events.RefreshTokenReuseDetected, events.RefreshTokenRevoked
    for victim in victims:
        session_id = victim.session_id
        story = happened.get(session_id, [])
        last = [each for each in story if isinstance(each.event, ends)]
        right: list[events.Event] = [events.RefreshTokenRevoked(session_id, "owner")]
        if victim.reused is not None:
            right = [
                events.RefreshTokenReuseDetected(session_id, victim.reused),
                events.RefreshTokenRevoked(session_id, "reuse"),
            ]
        tally.expect(
            [each.event for each in last] == right
            and last == story[-len(last) :]
            and last[-1].position - last[0].position == len(last) - 1,
            f"reused: {victim.reused}; recorded: {[each.event for each in last]}",
        )
    tally.count("reuses", sum(victim.reused is not None for victim in victims))
    tally.count("sessions that lived", sum(victim.reused is None for victim in victims))
