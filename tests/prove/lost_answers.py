"""Sessions rotate over and over, every fifth answer is lost, and none of them is: all go on.

An answer is lost when its client hangs up before it, or doesn't believe it; then the same token is
presented again, at any process. Whatever the settings record, the first use of every successor is
in the log. Security rule 30: without a retry window the same clients are refused.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

from domain import events
from domain.refresh_token import parse
from domain.user import User, evolve
from tests.prove.client import Client, a_source
from tests.prove.load import Ledger, register, session_of, start
from tests.prove.stored import by_session, check_log
from tests.prove.tally import Tally
from tests.running import running_all, settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from domain.stream import Recorded

PROPERTY: Final = "one answer in five lost, the same token again: no session lost"
SIZE: Final = 1_000
OF: Final = "sessions"
STEP: Final = 500
SHORT: Final = 16
STORES: Final = ("sqlite", "postgresql")
LAPS: Final = 20
SHORT_LAPS: Final = 6
LOST: Final = 0.2
ACTORS: Final = 16
A_USER: Final = 20
"""Sessions."""
BREACHES: Final = 4
PATIENCE_S: Final = 60.0
AGAIN: Final = 10
"""How often a client that hears 503 asks again."""

_COUNTED: Final = re.compile(rb'gatebook_requests_total\{[^}]*route="/refresh"[^}]*\} ([0-9.e+]+)')


class Mode(NamedTuple):
    """What a server is told."""

    rotation: str
    audit: str


MODES: Final = (
    Mode("on-request", "sparse"),
    Mode("always", "every"),
    Mode("on-request", "every"),
    Mode("always", "sparse"),
)


def prove(url: str, count: int) -> Tally:
    """Rotate `count` sessions of one store, some under each mode."""
    tally, second = Tally(), Tally()
    long = count >= STEP
    processes = 2 if url.startswith("postgresql") else 1
    modes = MODES if long else MODES[processes - 1 : processes]
    laps = LAPS if long else SHORT_LAPS
    owners: list[Owner] = []
    for number, mode in enumerate(modes):
        share = count // len(modes) + (number < count % len(modes))
        owners += _run([_given(url, mode)] * processes, mode, share, laps, tally)
    forgetful = _given(url, MODES[0], REFRESH_RETRY_WINDOW="0")
    _run([forgetful], MODES[0], BREACHES, SHORT_LAPS, second)
    refused = any(each.startswith("refused") for each in second.first)
    tally.control("no retry window", noticed=refused)
    _judge(check_log(url, tally), owners, tally)
    return tally


def _given(url: str, mode: Mode, **more: str) -> Mapping[str, str]:
    return settings(url, REFRESH_ROTATION=mode.rotation, REFRESH_AUDIT=mode.audit, **more)


def _run(
    given: Sequence[Mapping[str, str]], mode: Mode, count: int, laps: int, tally: Tally
) -> Sequence[Owner]:
    with running_all(*given) as servers:
        return asyncio.run(_laps([each.port for each in servers], mode, count, laps, tally))


async def _laps(
    ports: Sequence[int], mode: Mode, count: int, laps: int, tally: Tally
) -> list[Owner]:
    """In each lap every session rotates once; what was lost in it is over before the next."""
    source, ledger = a_source(), Ledger()
    owners: list[Owner] = []
    async with Client(ports[0], source) as client:
        for each in range(count):
            if each % A_USER == 0:
                user_key = await register(client, ledger) or ""
            token = (await start(client, user_key)).refresh_token
            owners.append(Owner(user_key, token, mode))
    for _ in range(laps):
        waiting = iter(owners)

        async def act(waiting: Iterable[Owner] = waiting) -> None:
            clients = [Client(port, source) for port in ports]
            for owner in waiting:
                await owner.rotate(clients, tally)
            for each in clients:
                await each.close()

        await asyncio.gather(*(act() for _ in range(ACTORS)))
        await _settled(ports, sum(owner.asked for owner in owners))
    tally.tried += count
    tally.count("rotations", sum(owner.rotations for owner in owners))
    tally.count("answers lost", sum(owner.lost for owner in owners))
    return owners


async def _settled(ports: Sequence[int], asked: int) -> None:
    """Wait until every request was answered, those too whose clients went away.

    A lost request that came after its token's grandchild would be taken for a theft, rightly.
    """
    clients = [Client(port) for port in ports]
    async with asyncio.timeout(PATIENCE_S):
        while True:
            pages = [(await client.get("/metrics")).body for client in clients]
            found = sum(float(each) for page in pages for each in _COUNTED.findall(page))
            if found >= asked:
                break
            await asyncio.sleep(0.01)
    for client in clients:
        await client.close()


class Owner:
    """Who holds a session's token and nothing else, and what it was told of each generation."""

    def __init__(self, user_key: str, token: str, mode: Mode) -> None:
        self.user_key = user_key
        self.session_id = session_of(token)
        self.mode = mode
        self.lost = 0
        self.rotations = 0
        self.asked = 0
        self.plain: Counter[int] = Counter()
        """Uses that rotated nothing and were answered, by generation."""
        self.unsure = 0
        """Answers of 503: what was asked may have been done."""
        self._token = token
        self._refused = False

    @property
    def generation(self) -> int:
        """That of the token held."""
        token = parse(self._token)
        return token.generation if token else 0

    async def rotate(self, clients: Sequence[Client], tally: Tally) -> None:
        """Perhaps use the token; then get its successor, whatever becomes of the first answer."""
        if self._refused:
            return
        if self.mode.rotation == "on-request" and random.random() < 0.5:
            await self._use(random.choice(clients), tally)
        before, seen = self._token, ""
        if random.random() < LOST:
            self.lost += 1
            seen = await self._lose(random.choice(clients), tally)
        after = await self._ask(random.choice(clients), tally)
        right = parse(after)
        if self._refused or right is None:
            return
        tally.expect(seen in {"", after}, "the repeat got another successor than the lost answer")
        made = parse(before)
        follows = made is not None and right[:2] == (made.session_id, made.generation + 1)
        tally.expect(follows, f"{right} is no successor")
        self.rotations += 1
        self._token = after

    async def _lose(self, client: Client, tally: Tally) -> str:
        """Present the token and hear nothing; or hear it and forget it: then what was heard."""
        if random.random() < 0.5:
            self.asked += 1
            await client.abandon("/refresh", **self._wish)
            return ""
        return await self._ask(client, tally)

    async def _ask(self, client: Client, tally: Tally) -> str:
        answer = await self._post(client, **self._wish)
        if answer[0] != 200:
            self._refused = True
            tally.wrong(f"refused, generation {self.generation}: {answer}")
            return ""
        return str(answer[1].get("refresh_token", ""))

    async def _use(self, client: Client, tally: Tally) -> None:
        answer = await self._post(client, refresh_token=self._token)
        tally.expect(answer[0] == 200, f"refused, a plain use: {answer}")
        if answer[0] == 200:
            self.plain[self.generation] += 1

    @property
    def _wish(self) -> dict[str, object]:
        rotate = {} if self.mode.rotation == "always" else {"rotate": True}
        return {"refresh_token": self._token, **rotate}

    async def _post(self, client: Client, **members: object) -> tuple[int, dict[str, object]]:
        for _ in range(AGAIN):
            self.asked += 1
            answer = await client.post("/refresh", **members)
            if answer.status != 503:
                break
            self.unsure += 1
        return answer.status, answer.json


def _judge(log: Iterable[Recorded], owners: Iterable[Owner], tally: Tally) -> None:
    """Every session lives at its owner's generation, and every first use is recorded."""
    users: dict[str, User] = {}
    for recorded in log:
        if recorded.stream.startswith("uk_"):
            users[recorded.stream] = evolve(users.get(recorded.stream, User()), recorded)
    happened = by_session(log)
    for owner in owners:
        session = users[owner.user_key].sessions.get(owner.session_id)
        if session is None:
            tally.wrong(f"lost: the session {owner.session_id}")
            continue
        held = owner.generation
        tally.expect(session.generation == held, f"holds {held}, stored {session.generation}")
        _judge_uses(happened[owner.session_id], owner, tally)
        tally.count("answers of 503", owner.unsure)


def _judge_uses(happened: Iterable[Recorded], owner: Owner, tally: Tally) -> None:
    """In the log of a session each generation is used first, and then rotated, once."""
    plain, audit = owner.plain, owner.mode.audit
    uses: Counter[int] = Counter()
    rotations: list[int] = []
    for recorded in happened:
        match recorded.event:
            case events.RefreshTokenUsed(_, generation):
                uses[generation] += 1
                right = generation == len(rotations) + 1
                tally.expect(right, f"a use of {generation} after {rotations}")
            case events.RefreshTokenRotated(_, generation):
                rotations.append(generation)
            case events.RefreshTokenRepeated(_, generation) if audit == "every":
                right = generation == len(rotations)
                tally.expect(right, f"a repeat of {generation} after {rotations}")
            case events.UserLoggedIn() | events.RefreshTokenIssued():
                pass
            case other:
                tally.wrong(f"a session has {other}")
    for expected, generation in zip_longest(range(2, len(rotations) + 2), rotations):
        tally.expect(generation == expected, f"rotated to {generation} in place of {expected}")
    for generation, times in plain.items():
        due = times if audit == "every" else 1
        found = uses[generation]
        right = due <= found <= (due + owner.unsure if audit == "every" else 1)
        tally.expect(right, f"{times} uses of {generation}, {found} recorded, {audit}")
    made_up = uses.keys() - plain.keys()
    tally.expect(not made_up, f"uses of {made_up} that nobody heard of")
