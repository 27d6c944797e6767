"""A user who logged in and rotated a hundred thousand times logs in as fast as a new one.

Each login that is timed is the first of that user at a server that has just started, so that
nothing of either is remembered.
"""

from __future__ import annotations

import asyncio
import statistics
from typing import TYPE_CHECKING, Final

import argon2

from app.eventstore import snapshot
from app.settings import load
from app.store import Store, open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from tests.prove.client import Client
from tests.prove.load import SECRET
from tests.prove.tally import Tally
from tests.running import MASTER, running, settings
from tests.store.wishing import commit, log_in, register, rotate, user_key

if TYPE_CHECKING:
    from collections.abc import Mapping

PROPERTY: Final = "who logged in and rotated 100,000 times logs in as fast as a new user"
SIZE: Final = 100_000
OF: Final = "rotations"
STEP: Final = 100_000
SHORT: Final = 150
STORES: Final = ("sqlite", "postgresql")
BATCH: Final = 32
TURNS: Final = 31
SHORT_TURNS: Final = 1
TAIL: Final = snapshot.EVERY + 3 * 2 * BATCH
"""Events after the newest snapshot: a batch, of three events a wish, may go beyond."""
_KEPT: Final = "SELECT max(version) FROM snapshots WHERE stream = ?"
_LENGTH: Final = "SELECT max(version) FROM events WHERE stream = ?"
MOST: Final = 1.5
"""Times a new user's, by the median."""


def prove(url: str, count: int) -> Tally:
    """Let one log in and rotate `count` times, and then time its logins beside new users'."""
    tally = Tally()
    given = settings(url)
    long = count >= SIZE
    turns = TURNS if long else SHORT_TURNS
    _live(url, given, count, turns, tally)
    old, new = [], []
    for turn in range(turns):
        with running(given) as server:
            people = ["old", f"new-{turn}"]
            ordered = people if turn % 2 else people[::-1]
            times = asyncio.run(_log_in(server.port, ordered, tally))
        old.append(times[people[0]])
        new.append(times[people[1]])
    if long:
        ratio = statistics.median(old) / statistics.median(new)
        tally.figure("times a new user's", ratio)
        tally.expect(ratio <= MOST, f"it takes {ratio:.2f} times as long as a new user's")
    tally.tried += count
    return tally


def _live(url: str, given: Mapping[str, str], count: int, turns: int, tally: Tally) -> None:
    """The past: one who did so much, and others who registered."""
    chosen = load(given).settings
    hasher = argon2.PasswordHasher(chosen.hash_time, chosen.hash_memory_kib, 1)
    secret_hash = hasher.hash(SECRET)
    store = open_store(storage_of(url), Vault(MASTER), "ES256")
    writer = Writer(store.log, store.vault, store.ring, Policy())
    people = ["old", "warm", *(f"new-{turn}" for turn in range(turns))]
    commit(writer, [register(each, each, secret_hash) for each in people])
    for first in range(0, count, BATCH):
        batch = []
        for number in range(first, min(first + BATCH, count)):
            batch += [log_in("old", str(number)), rotate("old", str(number))]
        commit(writer, batch)
    _look_at_tail(store, tally)
    store.storage.close()


def _look_at_tail(store: Store, tally: Tally) -> None:
    """However long the history is, few of its events are read to know the user."""
    with store.storage.snapshot() as rows:
        (kept,) = rows.fetch(_KEPT, (user_key("old"),))
        (length,) = rows.fetch(_LENGTH, (user_key("old"),))
    long, short = int(length[0] or 0), int(length[0] or 0) - int(kept[0] or 0)
    tally.expect(short <= TAIL, f"{short} events after the snapshot")
    tally.control("a history without a snapshot", noticed=long > TAIL)


async def _log_in(port: int, people: list[str], tally: Tally) -> dict[str, float]:
    """How long each takes, after another has warmed the server up."""
    times = {}
    async with Client(port) as client:
        for who in ("warm", *people):
            answer = await client.post("/authenticate", user_key=user_key(who), user_secret=SECRET)
            tally.expect(answer.status == 200, f"{who}: {answer.status} {answer.body[:200]!r}")
            times[who] = answer.seconds
    return times
