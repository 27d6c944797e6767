"""Unknown, disabled and wrong can't be told apart: the same answer, in the same time.

One client asks for the three in random order, from addresses of ever new networks, and compares
what it sees: status, headers, body, and how long each took. Times are compared by rank: the
chance that a random one of one kind is longer than a random one of another (AUC, by Mann and
Whitney's U), 0.5 for the same distribution.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final

import argon2

from app.caller import system
from app.settings import Settings, load
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
    from collections.abc import Mapping, Sequence

PROPERTY: Final = "unknown, disabled and wrong: same answer, same time"
SIZE: Final = 5_000
STEP: Final = 5_000
SHORT: Final = 20
STORES: Final = ("sqlite", "postgresql")
EACH: Final = 50
"""Attempts on one user: fewer than its budget."""
TELLING: Final = 2_000
"""Attempts of a kind from which on times say something: by chance alone the AUC of so many is
within 0.009 of a half two times in three."""
ALIKE: Final = 0.02
WRONG: Final = "a horse that eats tangerines"
SHIFT_S: Final = 0.001
"""A difference that has to be noticed."""

_HASH: Final = {"HASH_MEMORY_KIB": "19456", "HASH_TIME": "2"}
_VARYING_HEADERS: Final = frozenset({"x-request-id", "date"})
_VARYING: Final = re.compile(rb'"request_id":"[0-9a-f]{32}"')


def prove(url: str, count: int) -> Tally:
    """Try `count` of each kind, at the product's own hash when there are enough to tell."""
    tally = Tally()
    telling = count >= TELLING
    hashing = _HASH if telling else {}
    given = settings(url, TRUSTED_PROXIES="127.0.0.0/8", **hashing)
    bodies = _bodies(url, -(-count // EACH), load(given).settings)
    with running(given) as server:
        times = asyncio.run(_try(server.port, bodies, count, tally))
    if telling:
        _compare(times, tally)
    tally.tried += count
    return tally


def _compare(times: dict[str, list[float]], tally: Tally) -> None:
    wrong = times["wrong"]
    for kind in ("unknown", "disabled"):
        distance = abs(auc(times[kind], wrong) - 0.5)
        tally.figure(f"{kind} against wrong, AUC less a half", distance)
        tally.expect(distance <= ALIKE, f"{kind} can be told from wrong: {distance:.3f}")
    shifted = abs(auc([each + SHIFT_S for each in wrong], wrong) - 0.5)
    tally.control("a millisecond more", noticed=shifted > ALIKE)


def auc(of: Sequence[float], to: Sequence[float]) -> float:
    """How likely a random one of `of` is greater than a random one of `to`; a tie is half."""
    ordered = sorted(to)
    wins = sum(bisect_left(ordered, each) + bisect_right(ordered, each) for each in of)
    return wins / (2 * len(of) * len(to))


async def _try(
    port: int, bodies: Mapping[str, Sequence[bytes]], count: int, tally: Tally
) -> dict[str, list[float]]:
    rng = random.Random(count)
    times: dict[str, list[float]] = {kind: [] for kind in bodies}
    seen: set[object] = set()
    async with Client(port) as client:
        for number in range(count):
            for kind in rng.sample(sorted(times), len(times)):
                body = bodies[kind][number % len(bodies[kind])]
                source = {"x-forwarded-for": _an_address(rng)}
                answer = await client.send("POST", "/authenticate", body, source)
                times[kind].append(answer.seconds)
                seen.add(_shown(answer))
        right = bodies["wrong"][0].replace(WRONG.encode(), SECRET.encode())
        known = await client.send("POST", "/authenticate", right)
    tally.control("a right secret", noticed=_shown(known) not in seen)
    tally.expect(len(seen) == 1, f"the answers differ: {list(seen)[:3]!r}")
    tally.expect(known.status == 200, f"the right secret was refused: {known.status}")
    tally.expect(answer.status == 401, f"they weren't refused: {answer.status}")
    return times


def _shown(answer: Answer) -> tuple[object, ...]:
    """All that an answer shows but what is another's each time."""
    headers = {name: v for name, v in answer.headers.items() if name not in _VARYING_HEADERS}
    return answer.status, tuple(headers.items()), _VARYING.sub(b"", answer.body)


def _bodies(url: str, people: int, settings: Settings) -> dict[str, list[bytes]]:
    """Requests of each kind, of so many people; the disabled ones show their right secret."""
    hasher = argon2.PasswordHasher(settings.hash_time, settings.hash_memory_kib, 1)
    wrong = [f"wrong-{number}" for number in range(people)]
    disabled = [f"disabled-{number}" for number in range(people)]
    store = open_store(storage_of(url), Vault(MASTER), "ES256")
    writer = Writer(store.log, store.vault, store.ring, Policy())
    secret_hash = hasher.hash(SECRET)
    commit(writer, [register(each, each, secret_hash) for each in wrong + disabled])
    commit(writer, [Wish(commands.DisableUser(user_key(each)), system()) for each in disabled])
    store.storage.close()
    asked = {
        "unknown": [(f"unknown-{number}", SECRET) for number in range(people)],
        "disabled": [(each, SECRET) for each in disabled],
        "wrong": [(each, WRONG) for each in wrong],
    }
    return {
        kind: [json.dumps({"user_key": user_key(w), "user_secret": s}).encode() for w, s in pairs]
        for kind, pairs in asked.items()
    }


def _an_address(rng: random.Random) -> str:
    return ".".join(str(rng.randrange(1, 255)) for _ in range(4))
