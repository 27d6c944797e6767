"""Unknown, erased, disabled and wrong can't be told apart: the same answer, in the same time.

Nor whose hash is of older parameters than the service's, by key or by name. One client asks for
all of them in random order, from addresses of ever new networks, and compares what it sees:
status, headers, body, and how long each took. The service counts its hashes, and a refusal of each
kind costs as many. Times are compared by rank: the chance that a random one of one kind is longer
than a random one of another (AUC, by Mann and Whitney's U), 0.5 for the same distribution. A table
of the times is told, whatever comes of them.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
import tempfile
from bisect import bisect_left, bisect_right
from concurrent.futures import ThreadPoolExecutor
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
from tests.store.intruding import SQLITE
from tests.store.wishing import commit, register, user_key

if TYPE_CHECKING:
    from collections.abc import Sequence

PROPERTY: Final = "unknown, erased, disabled, wrong, older hash: same answer, same time"
SIZE: Final = 5_000
OF: Final = "attempts of each kind"
STEP: Final = 5_000
SHORT: Final = 16
STORES: Final = ("sqlite", "postgresql")
TELLING: Final = 5_000
"""Attempts of a kind from which on times say something: by chance alone the AUC of so many is
further than `ALIKE` from a half once in 1,800 times; one that is 0.04 off is within it as
seldom."""
ALIKE: Final = 0.02
SURE: Final = 4
"""Standard errors: by chance alone an AUC is further from a half once in 15,000 times."""
WRONG: Final = "a horse that eats tangerines"
SHIFT_S: Final = 0.001
"""A difference that has to be noticed."""
BREACHES: Final = 3_000
"""Attempts at what has to be noticed: of so many that takes 0.03. On a quiet machine it was above
0.4 on SQLite and 0.16 on PostgreSQL, and 0.06 at least where eleven programs shared two cores."""
DIFFERENT: Final = "refusals cost different numbers of hashes"
PERCENTS: Final = (5, 25, 50, 75, 95)

OWN: Final = Parameters(19_456, 2)
"""The product's, at which an unknown user must not be told from another."""
OWN_SHARE: Final = 0.8
"""Of the attempts, so that a store takes less than 20 minutes: by chance alone the AUC of 4,000 is
further than `ALIKE` from a half once in 500 times."""
LIGHT: Final = Parameters(2_048, 1)
"""At which everybody who is there is compared with each other: what isn't hashing weighs more, so
that whatever is done for one of them alone is seen. Nobody, and by key who was erased, are told in
the table only: no service that is set up as the product comes has such a hash."""
OLDER: Final = Parameters(1_024, 1)
"""Those of the users who registered before the service was given the ones that it has."""
LEAST: Final = Parameters(8, 1)
"""For so few attempts that their times say nothing."""

_BECAME: Final = {"disabled": commands.DisableUser, "erased": commands.EraseUser}
_HASHES: Final = re.compile(rb"^gatebook_hash_seconds_count ([0-9.e+]+)$", re.MULTILINE)
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
    Kind(_KEY, "erased"),
    Kind(_KEY, "disabled"),
    Kind(_KEY, "wrong", older=True),
    Kind(_KEY, "disabled", older=True),
    Kind(_NAME, "wrong"),
    Kind(_NAME, "unknown"),
    Kind(_NAME, "erased"),
    Kind(_NAME, "wrong", older=True),
    Kind(_NAME, "disabled", older=True),
)
THERE: Final = tuple(kind for kind in KINDS if kind.who not in {"unknown", "erased"})
NAMELESS: Final = (Kind(_NAME, "unknown"), Kind(_NAME, "erased"))
"""Names that lead nowhere, which no hash has to hide from each other."""
SHOWN: Final = (
    *(kind for kind in KINDS if kind.who in {"wrong", "unknown"} and not kind.older),
    Kind(_KEY, "erased"),
)
"""What nobody may be told from at the product's own hash, and nobody, at each path."""
UNHASHED: Final = (BASE, Kind(_KEY, "unknown"))
"""Which a service tells apart that spends no hash on nobody."""
ERASED: Final = (Kind(_KEY, "unknown"), Kind(_KEY, "erased"), BASE)
"""Which one tells apart that spends none on who was erased."""
COUNTED: Final = 2
"""Refusals of a kind whose hashes are counted."""
BREACHED: Final = (BASE, Kind(_KEY, "wrong", older=True))

Bodies = dict[Kind, list[bytes]]
Times = dict[Kind, list[float]]


def prove(url: str, count: int) -> Tally:
    """Try `count` of each kind; when there are enough, tell them apart by time."""
    tally = Tally()
    if count < TELLING:
        # It has a store and a server of its own, and waits for the most part.
        erased = ThreadPoolExecutor(1).submit(_is_noticed)
        _tell(_times(url, "all", KINDS, count, LEAST, tally), LEAST, tally)
        breach = Tally()
        _times(url, "unhashed", UNHASHED, COUNTED, LEAST, breach, TEST_UNHASHED="1")
        tally.control("no hash for nobody", noticed=_differ(breach))
        tally.control("no hash for who was erased", noticed=erased.result())
    else:
        light = _times(url, "light", KINDS, count, LIGHT, tally)
        _tell(light, LIGHT, tally)
        _compare({kind: light[kind] for kind in THERE}, "", tally)
        _compare({kind: light[kind] for kind in NAMELESS}, "", tally, "unknown")
        told = _times(url, "breach", BREACHED, BREACHES, LIGHT, Tally(), TEST_OWN_HASH="1")
        noticed = told_apart(told[BREACHED[1]], told[BASE])
        tally.control("whose hash alone is spent", noticed=noticed)
        own = _times(url, "own", SHOWN, round(count * OWN_SHARE), OWN, tally)
        _tell(own, OWN, tally)
        _compare(own, " at the product's hash", tally)
    tally.tried += count
    return tally


def _is_noticed() -> bool:
    """The control: whether it shows that who was erased is refused for less than nobody is."""
    breach = Tally()
    with tempfile.TemporaryDirectory() as folder:
        url = f"{SQLITE}{folder}/gatebook.db"
        _times(url, "erased", ERASED, COUNTED, LEAST, breach, TEST_UNHASHED_ERASED="1")
    return _differ(breach)


def _differ(tally: Tally) -> bool:
    return any(each.startswith(DIFFERENT) for each in tally.first)


def _times(
    url: str,
    label: str,
    kinds: Sequence[Kind],
    count: int,
    now: Parameters,
    tally: Tally,
    **more: str,
) -> Times:
    bodies = _bodies(url, label, kinds, count, now)
    with running(_given(url, now, **more)) as server:
        return asyncio.run(_try(server.port, bodies, count, tally))


def _given(url: str, now: Parameters, **more: str) -> dict[str, str]:
    hashing = {"HASH_MEMORY_KIB": f"{now.memory_kib}", "HASH_TIME": f"{now.time_cost}"}
    return settings(url, TRUSTED_PROXIES="127.0.0.0/8", **hashing, **more)


def _compare(times: Times, how: str, tally: Tally, to: str = BASE.who) -> None:
    """Each path's kinds with one of them, such as its wrong secrets of today's parameters."""
    for kind, of in times.items():
        base = times[Kind(kind.path, to)]
        if of is base:
            continue
        distance = abs(auc(of, base) - 0.5)
        tally.figure(f"{kind}{how} against {to}, AUC less a half", distance)
        tally.expect(distance <= ALIKE, f"{kind}{how} can be told from {to}: {distance:.3f}")
        # The same times, so chance has no part in it; in other ones it would have.
        shifted = abs(auc([each + SHIFT_S for each in base], base) - 0.5)
        noticed = shifted > ALIKE + SURE * by_chance(len(base), len(base))
        tally.control(f"a millisecond more{how}", noticed=noticed)


def _tell(times: Times, now: Parameters, tally: Tally) -> None:
    """A line a kind, as a page would show it: how long it took, and how far it is from wrong."""
    tally.lines += [
        f"hash of {now.memory_kib} KiB, {now.time_cost} times",
        f"| kind | n | {' | '.join(f'{each} %' for each in PERCENTS)} | AUC against wrong |",
        f"| --- {'| --- ' * (len(PERCENTS) + 2)}|",
    ]
    for kind, of in times.items():
        shown = " | ".join(f"{1_000 * each:.2f}" for each in percentiles(of))
        against = auc(of, times[Kind(kind.path, BASE.who)])
        tally.lines.append(f"| {kind}, ms | {len(of)} | {shown} | {against:.3f} |")


def percentiles(of: Sequence[float]) -> list[float]:
    """What so many percent of them are at most."""
    ordered = sorted(of)
    return [ordered[max(0, math.ceil(each * len(of) / 100) - 1)] for each in PERCENTS]


def auc(of: Sequence[float], to: Sequence[float]) -> float:
    """How likely a random one of `of` is greater than a random one of `to`; a tie is half."""
    ordered = sorted(to)
    wins = sum(bisect_left(ordered, each) + bisect_right(ordered, each) for each in of)
    return wins / (2 * len(of) * len(to))


def by_chance(of: int, to: int) -> float:
    """The standard error of the AUC of so many, where both are of the same distribution."""
    return math.sqrt((of + to + 1) / (12 * of * to))


def told_apart(of: Sequence[float], to: Sequence[float]) -> bool:
    """Not alike, and by more than chance comes to: what a control has to be."""
    least = max(ALIKE, SURE * by_chance(len(of), len(to)))
    return abs(auc(of, to) - 0.5) > least


async def _try(port: int, bodies: Bodies, count: int, tally: Tally) -> Times:
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
        await _count_hashes(client, bodies, rng, tally)
        wrong = next(kind for kind in bodies if kind.who == BASE.who)
        right = bodies[wrong][0].replace(WRONG.encode(), SECRET.encode())
        known = await client.send("POST", wrong.path, right)
    tally.control("a right secret", noticed=_shown(known) not in seen)
    tally.expect(len(seen) == 1, f"the answers differ: {list(seen)[:3]!r}")
    tally.expect(known.status == 200, f"the right secret was refused: {known.status}")
    tally.expect(statuses == {401}, f"they weren't refused: {statuses}")
    return times


async def _count_hashes(client: Client, bodies: Bodies, rng: random.Random, tally: Tally) -> None:
    """As many for each kind; nobody else asks anything meanwhile."""
    spent: dict[str, float] = {}
    for kind, known in bodies.items():
        before = await _hashes(client)
        for body in known[:COUNTED]:
            source = {"x-forwarded-for": _an_address(rng)}
            await client.send("POST", kind.path, body, source)
        spent[f"{kind}"] = (await _hashes(client) - before) / len(known[:COUNTED])
    tally.expect(len({*spent.values()}) == 1, f"{DIFFERENT}: {spent}")
    tally.expect(min(spent.values()) >= 1, f"refusals cost no hash: {spent}")


async def _hashes(client: Client) -> float:
    found = _HASHES.search((await client.get("/metrics")).body)
    return float(found[1]) if found else 0.0


def _shown(answer: Answer) -> tuple[object, ...]:
    """All that an answer shows but what is another's each time."""
    headers = {name: v for name, v in answer.headers.items() if name not in _VARYING_HEADERS}
    return answer.status, tuple(headers.items()), _VARYING.sub(b"", answer.body)


def _bodies(url: str, label: str, kinds: Sequence[Kind], count: int, now: Parameters) -> Bodies:
    """Requests of each kind, each about somebody else, as of who tries many names.

    Who is disabled or was erased shows the right secret.
    """
    store = open_store(storage_of(url), Vault(MASTER), "ES256")
    writer = Writer(store.log, store.vault, store.ring, Policy())
    found: Bodies = {}
    for kind in kinds:
        cost = OLDER if kind.older else now
        hasher = argon2.PasswordHasher(cost.time_cost, cost.memory_kib, 1)
        names = [f"{label} {kind} {number}".replace(" ", "-") for number in range(count)]
        if kind.who != "unknown":
            secret_hash = hasher.hash(SECRET)
            commit(writer, [register(each, each, secret_hash) for each in names])
        if wanted := _BECAME.get(kind.who):
            commit(writer, [Wish(wanted(user_key(each)), system()) for each in names])
        found[kind] = [_body(kind, each) for each in names]
    store.storage.close()
    return found


def _body(kind: Kind, name: str) -> bytes:
    who = {"user_key": user_key(name)} if kind.path == _KEY else {"user_id": name}
    secret = WRONG if kind.who == "wrong" else SECRET
    return json.dumps({**who, "user_secret": secret}).encode()


def _an_address(rng: random.Random) -> str:
    return ".".join(str(rng.randrange(1, 255)) for _ in range(4))
