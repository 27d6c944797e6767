"""One refresh token, rotated by 64 at the same moment: all get the same successor, of one rotation.

Every other session is used and rotated from 64 addresses, so that all but one are uses, and then
repeats, from elsewhere: nobody is refused for that. On PostgreSQL half of them ask another process.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

from domain import events
from domain.refresh_token import parse
from tests.prove.client import Client, a_source
from tests.prove.load import Ledger, Refused, register, session_of, start
from tests.prove.stored import by_session, check_log
from tests.prove.tally import Tally
from tests.running import running, running_all, settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from domain.stream import Recorded
    from tests.prove.client import Answer

PROPERTY: Final = "64 rotate one token at once: one successor for all, one rotation in the log"
SIZE: Final = 50
OF: Final = "races"
STEP: Final = 25
SHORT: Final = 2
STORES: Final = ("sqlite", "postgresql")
RACERS: Final = 64
A_SESSION: Final = 5
"""Races with each session: a successor is raced for in its turn."""
BREACHES: Final = 4


class Raced(NamedTuple):
    """A session, how many races it was in, and whether from many places."""

    session_id: str
    races: int
    scattered: bool


def prove(url: str, count: int) -> Tally:
    """Race `count` times on one store."""
    tally, second = Tally(), Tally()
    processes = 2 if url.startswith("postgresql") else 1
    with running_all(*[settings(url)] * processes) as servers:
        ports = [server.port for server in servers]
        raced = asyncio.run(_races(ports, count, tally))
    with running(settings(url, TEST_UNCHECKED_ROTATION="1")) as breach:
        doubled = asyncio.run(_races([breach.port], BREACHES, second))
    log = check_log(url, tally)
    judge(log, raced, tally)
    judge(log, doubled, second)
    noticed = any(each.startswith("rotated") for each in second.first)
    tally.control("a rotation that nobody checks", noticed=noticed)
    return tally


async def _races(ports: Sequence[int], count: int, tally: Tally) -> list[Raced]:
    raced: list[Raced] = []
    each_session = min(A_SESSION, (count + 1) // 2)
    async with Client(ports[0], a_source()) as owner:
        user_key = await register(owner, Ledger()) or ""
        for begun in range(0, count, each_session):
            scattered = len(raced) % 2 == 1
            races = min(each_session, count - begun)
            token = (await start(owner, user_key)).refresh_token
            async with AsyncExitStack() as stack:
                racers = [
                    Client(ports[each % len(ports)], a_source() if scattered else owner.source)
                    for each in range(RACERS)
                ]
                for racer in racers:
                    await stack.enter_async_context(racer)
                # Connected first, so that the requests themselves begin together.
                await asyncio.gather(*(racer.get("/healthz") for racer in racers))
                session_id = session_of(token)
                if scattered:
                    await _use(racers, token, tally)
                for _ in range(races):
                    token = await _race(racers, token, tally)
                    tally.tried += 1
            raced.append(Raced(session_id, races, scattered))
    return raced


async def _use(racers: Sequence[Client], token: str, tally: Tally) -> None:
    answers = await asyncio.gather(
        *(racer.post("/refresh", refresh_token=token) for racer in racers)
    )
    found = Counter(answer.status for answer in answers)
    tally.expect(found == {200: RACERS}, f"{RACERS} uses at once were answered {found}")


async def _race(racers: Sequence[Client], token: str, tally: Tally) -> str:
    answers = await asyncio.gather(
        *(racer.post("/refresh", refresh_token=token, rotate=True) for racer in racers)
    )
    return compare(answers, token, tally)


def compare(answers: Iterable[Answer], token: str, tally: Tally) -> str:
    """Everybody has the same successor, the next generation of the same session; which."""
    found = Counter(
        answer.json["refresh_token"] if answer.status == 200 else answer.body for answer in answers
    )
    tally.expect(len(found) == 1, f"{RACERS} at once were answered {[*found.items()]}")
    before = parse(token)
    for successor in found:
        after = parse(successor) if isinstance(successor, str) else None
        if before is not None and after is not None:
            right = (before.session_id, before.generation + 1)
            if after[:2] == right:
                return str(successor)
    raise Refused(f"nobody got a successor: {found}")


def judge(log: Iterable[Recorded], raced: Sequence[Raced], tally: Tally) -> None:
    """Of each session: its beginning, one rotation a race, and repeats when they are due."""
    happened = by_session(log)
    for session_id, races, scattered in raced:
        rotated, repeated, used, others = [], Counter[int](), 0, []
        for recorded in happened.get(session_id, ()):
            match recorded.event:
                case events.RefreshTokenRotated(_, generation):
                    rotated.append(generation)
                case events.RefreshTokenRepeated(_, generation):
                    repeated[generation] += 1
                case events.RefreshTokenUsed():
                    used += 1
                case other:
                    others.append(type(other))
        right = [*range(2, races + 2)]
        tally.expect(rotated == right, f"rotated {races} times, recorded as {rotated}")
        begun = [events.UserLoggedIn, events.RefreshTokenIssued]
        tally.expect(others == begun, f"the session {session_id} has {others}")
        # In each race all but one repeat, each of them from elsewhere: one at least is news.
        due = (
            scattered
            and sorted(repeated) == [*range(1, races + 1)]
            and max(repeated.values()) < RACERS
        )
        tally.expect(due or not (scattered or repeated), f"repeats recorded: {repeated}")
        fit = 0 < used <= RACERS if scattered else not used
        tally.expect(fit, f"{used} uses recorded, from many places: {scattered}")
        tally.count("uses and repeats from elsewhere", used + repeated.total())
