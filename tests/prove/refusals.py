"""Refused logins of many kinds, asked for in random order: what they answer, cost and take.

One client asks for all of them, from addresses of ever new networks, and compares what it sees:
status, headers, body, and how long each took. The service counts its hashes, and a refusal of each
kind costs all that are in use (ADR 0013). A table of the times is told, whatever comes of them.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
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
from tests.prove.ranks import ALIKE, SURE, auc, by_chance, percentiles
from tests.running import MASTER, running, settings
from tests.store.wishing import commit, register, user_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.prove.tally import Tally

WRONG: Final = "a horse that eats tangerines"
SHIFT_S: Final = 0.001
"""A difference that has to be noticed."""
COUNTED: Final = 2
"""Refusals of a kind whose hashes are counted."""
COSTS: Final = "a refusal costs other hashes than those in use"
PERCENTS: Final = (5, 25, 50, 75, 95)
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


KEY, NAME = "/authenticate", "/userkey"
BASE: Final = Kind(KEY, "wrong")

Bodies = dict[Kind, list[bytes]]
Times = dict[Kind, list[float]]


def times(
    url: str,
    label: str,
    kinds: Sequence[Kind],
    count: int,
    now: Parameters,
    tally: Tally,
    **more: str,
) -> Times:
    """Seconds that `count` refusals of each kind took, at a service whose parameters are `now`.

    `label` tells its people from those of others in the same store; `more` is settings of its own.
    """
    bodies = _bodies(url, label, kinds, count, now)
    hashing = {"HASH_MEMORY_KIB": f"{now.memory_kib}", "HASH_TIME": f"{now.time_cost}"}
    given = settings(url, TRUSTED_PROXIES="127.0.0.0/8", **hashing, **more)
    with running(given) as server:
        return asyncio.run(_try(server.port, bodies, count, tally))


def compare(found: Times, how: str, tally: Tally, to: str = BASE.who) -> None:
    """Each path's kinds with one of them, such as its wrong secrets of today's parameters."""
    for kind, of in found.items():
        base = found[Kind(kind.path, to)]
        if of is base:
            continue
        distance = abs(auc(of, base) - 0.5)
        tally.figure(f"{kind}{how} against {to}, AUC less a half", distance)
        tally.expect(distance <= ALIKE, f"{kind}{how} can be told from {to}: {distance:.3f}")
        # The same times, so chance has no part in it; in other ones it would have.
        shifted = abs(auc([each + SHIFT_S for each in base], base) - 0.5)
        noticed = shifted > ALIKE + SURE * by_chance(len(base), len(base))
        tally.control(f"a millisecond more{how}", noticed=noticed)


def tell(found: Times, now: Parameters, tally: Tally) -> None:
    """A line a kind, as a page would show it: how long it took, and how far it is from wrong."""
    tally.lines += [
        f"hash of {now.memory_kib} KiB, {now.time_cost} times",
        f"| kind | n | {' | '.join(f'{each} %' for each in PERCENTS)} | AUC against wrong |",
        f"| --- {'| --- ' * (len(PERCENTS) + 2)}|",
    ]
    for kind, of in found.items():
        shown = " | ".join(f"{1_000 * each:.2f}" for each in percentiles(of, PERCENTS))
        against = auc(of, found[Kind(kind.path, BASE.who)])
        tally.lines.append(f"| {kind}, ms | {len(of)} | {shown} | {against:.3f} |")


def costs_differ(tally: Tally) -> bool:
    """Whether refusals were seen to cost other hashes than they should."""
    return any(each.startswith(COSTS) for each in tally.first)


async def _try(port: int, bodies: Bodies, count: int, tally: Tally) -> Times:
    rng = random.Random(count)
    found: Times = {kind: [] for kind in bodies}
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
                    found[kind].append(answer.seconds)
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
    return found


async def _count_hashes(client: Client, bodies: Bodies, rng: random.Random, tally: Tally) -> None:
    """As many for each kind as are in use; nobody else asks anything meanwhile."""
    in_use = len({kind.older for kind in bodies})
    for kind, known in bodies.items():
        before = await _hashes(client)
        for body in known[:COUNTED]:
            source = {"x-forwarded-for": _an_address(rng)}
            await client.send("POST", kind.path, body, source)
        spent = (await _hashes(client) - before) / len(known[:COUNTED])
        tally.expect(spent == in_use, f"{COSTS}: {kind} {spent:g}, {in_use} are")


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
    who = {"user_key": user_key(name)} if kind.path == KEY else {"user_id": name}
    secret = WRONG if kind.who == "wrong" else SECRET
    return json.dumps({**who, "user_secret": secret}).encode()


def _an_address(rng: random.Random) -> str:
    return ".".join(str(rng.randrange(1, 255)) for _ in range(4))
