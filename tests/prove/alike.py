"""Unknown, disabled and wrong can't be told apart: the same answer, in the same time.

Nor whose hash is of older parameters than the service's, by key or by name. One client asks for
all of them in random order, from addresses of ever new networks, and compares what it sees:
status, headers, body, and how long each took. Times are compared by rank: the chance that a
random one of one kind is longer than a random one of another (AUC, by Mann and Whitney's U), 0.5
for the same distribution.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

import argon2

from app.argon2id import Parameters
from app.caller import system
from app.store import open_store, storage_of
from app.vault import Vault
from app.writer import Wish, Writer
from domain import commands
from domain.policy import Policy
from tests.prove.client import Answer, Client
from tests.prove.load import SECRET
from tests.prove.tally import Tally
from tests.running import MASTER, running, settings
from tests.store.wishing import commit, register, user_key

if TYPE_CHECKING:
    from collections.abc import Sequence

PROPERTY: Final = "unknown, disabled, wrong, older hash: same answer, same time"
SIZE: Final = 5_000
STEP: Final = 5_000
SHORT: Final = 20
STORES: Final = ("sqlite", "postgresql")
EACH: Final = 40
"""Attempts on one user: fewer than its budget."""
TELLING: Final = 2_000
"""Attempts of a kind from which on times say something: by chance alone the AUC of so many is
within 0.009 of a half two times in three."""
ALIKE: Final = 0.02
WRONG: Final = "a horse that eats tangerines"
SHIFT_S: Final = 0.001
"""A difference that has to be noticed."""
BREACHES: Final = 200

OWN: Final = Parameters(19_456, 2)
"""The product's; it takes so long that four fifths of the attempts, on one kind of store, and of
three kinds of refusals, have to do. All other attempts are made at `LIGHT`, where what isn't
hashing weighs more."""
LIGHT: Final = Parameters(2_048, 1)
OLDER: Final = Parameters(1_024, 1)
"""Those of the users who registered before the service was given the ones that it has."""
LEAST: Final = Parameters(8, 1)
"""For so few attempts that their times say nothing."""

_VARYING_HEADERS: Final = frozenset({"x-request-id", "date"})
_VARYING: Final = re.compile(rb'"request_id":"[0-9a-f]{32}"')


class Kind(NamedTuple):
    """A kind of refusal: at which path, of whom, and whether the hash is of older parameters."""

    path: str
    who: str
    older: bool = False

    def __str__(self) -> str:
        return f"{self.path} {'older ' if self.older else ''}{self.who}"


_KEY, _NAME = "/authenticate", "/userkey"
BASE: Final = Kind(_KEY, "wrong")
KINDS: Final = (
    BASE,
    Kind(_KEY, "unknown"),
    Kind(_KEY, "disabled"),
    Kind(_KEY, "wrong", older=True),
    Kind(_KEY, "disabled", older=True),
    Kind(_NAME, "wrong"),
    Kind(_NAME, "unknown"),
    Kind(_NAME, "wrong", older=True),
    Kind(_NAME, "disabled", older=True),
)
AT_OWN: Final = (BASE, KINDS[1], KINDS[3])

Bodies = dict[Kind, list[bytes]]
Times = dict[Kind, list[float]]


def prove(url: str, count: int) -> Tally:
    """Try `count` of each kind, long enough to tell them apart when there are enough for that."""
    tally = Tally()
    telling = count >= TELLING
    now = LIGHT if telling else LEAST
    bodies = _bodies(url, "all", KINDS, count, now)
    with running(_given(url, now)) as server:
        times = asyncio.run(_try(server.port, bodies, count, tally))
    if telling:
        _compare(times, "", tally)
        with running(_given(url, now, TEST_OWN_HASH="1")) as breach:
            told = asyncio.run(
                _try(breach.port, _bodies(url, "breach", AT_OWN, BREACHES, now), BREACHES)
            )
        apart = min(abs(auc(times, told[BASE]) - 0.5) for kind, times in told.items() if kind.older)
        tally.control("whose hash alone is spent", noticed=apart > ALIKE)
    if telling and url.startswith("sqlite"):
        fewer = count * 4 // 5
        with running(_given(url, OWN)) as server:
            own = asyncio.run(
                _try(server.port, _bodies(url, "own", AT_OWN, fewer, OWN), fewer, tally)
            )
        _compare(own, " at the product's hash", tally)
    tally.tried += count
    return tally


def _given(url: str, now: Parameters, **more: str) -> dict[str, str]:
    hashing = {"HASH_MEMORY_KIB": f"{now.memory_kib}", "HASH_TIME": f"{now.time_cost}"}
    return settings(url, TRUSTED_PROXIES="127.0.0.0/8", **hashing, **more)


def _compare(times: Times, how: str, tally: Tally) -> None:
    """Each path's kinds with its wrong secrets of today's parameters."""
    for kind, of in times.items():
        base = times.get(Kind(kind.path, BASE.who), times[BASE])
        if of is base:
            continue
        distance = abs(auc(of, base) - 0.5)
        tally.figure(f"{kind}{how} against wrong, AUC less a half", distance)
        tally.expect(distance <= ALIKE, f"{kind}{how} can be told from wrong: {distance:.3f}")
    shifted = abs(auc([each + SHIFT_S for each in times[BASE]], times[BASE]) - 0.5)
    tally.control(f"a millisecond more{how}", noticed=shifted > ALIKE)


def auc(of: Sequence[float], to: Sequence[float]) -> float:
    """How likely a random one of `of` is greater than a random one of `to`; a tie is half."""
    ordered = sorted(to)
    wins = sum(bisect_left(ordered, each) + bisect_right(ordered, each) for each in of)
    return wins / (2 * len(of) * len(to))


async def _try(port: int, bodies: Bodies, count: int, tally: Tally | None = None) -> Times:
    rng = random.Random(count)
    times: Times = {kind: [] for kind in bodies}
    seen: set[object] = set()
    statuses: set[int] = set()
    async with Client(port) as client:
        for number in range(-1, count):
            for kind in rng.sample([*bodies], len(bodies)):
                body = bodies[kind][number % len(bodies[kind])]
                source = {"x-forwarded-for": _an_address(rng)}
                answer = await client.send("POST", kind.path, body, source)
                # In the first round the service meets what it doesn't know yet.
                if number >= 0:
                    times[kind].append(answer.seconds)
                seen.add(_shown(answer))
                statuses.add(answer.status)
        right = bodies[BASE][0].replace(WRONG.encode(), SECRET.encode())
        known = await client.send("POST", BASE.path, right)
    if tally is not None:
        tally.control("a right secret", noticed=_shown(known) not in seen)
        tally.expect(len(seen) == 1, f"the answers differ: {list(seen)[:3]!r}")
        tally.expect(known.status == 200, f"the right secret was refused: {known.status}")
        tally.expect(statuses == {401}, f"they weren't refused: {statuses}")
    return times


def _shown(answer: Answer) -> tuple[object, ...]:
    """All that an answer shows but what is another's each time."""
    headers = {name: v for name, v in answer.headers.items() if name not in _VARYING_HEADERS}
    return answer.status, tuple(headers.items()), _VARYING.sub(b"", answer.body)


def _bodies(url: str, label: str, kinds: Sequence[Kind], count: int, now: Parameters) -> Bodies:
    """Requests of each kind, about new people; who is disabled shows the right secret.

    Whoever isn't there is another one each time, since they share what strangers may try.
    """
    store = open_store(storage_of(url), Vault(MASTER), "ES256")
    writer = Writer(store.log, store.vault, store.ring, Policy())
    found: Bodies = {}
    for kind in kinds:
        cost = OLDER if kind.older else now
        hasher = argon2.PasswordHasher(cost.time_cost, cost.memory_kib, 1)
        people = count if kind.who == "unknown" else -(-count // EACH)
        names = [f"{label} {kind} {number}".replace(" ", "-") for number in range(people)]
        if kind.who != "unknown":
            secret_hash = hasher.hash(SECRET)
            commit(writer, [register(each, each, secret_hash) for each in names])
        if kind.who == "disabled":
            commit(writer, [Wish(commands.DisableUser(user_key(n)), system()) for n in names])
        found[kind] = [_body(kind, each) for each in names]
    store.storage.close()
    return found


def _body(kind: Kind, name: str) -> bytes:
    who = {"user_key": user_key(name)} if kind.path == _KEY else {"user_id": name}
    secret = WRONG if kind.who == "wrong" else SECRET
    return json.dumps({**who, "user_secret": secret}).encode()


def _an_address(rng: random.Random) -> str:
    return ".".join(str(rng.randrange(1, 255)) for _ in range(4))
