"""A user who logged in and rotated a hundred thousand times logs in about as fast as a new one.

Each login that is timed is the first of that user at a server that has just started, so that
nothing of either is remembered; half as much time again is the most. Whoever has just opened the
store reads no more of the history than is newer than a snapshot can be. The controls: one that
finds no snapshot, and reads all of it; and, where times are compared, such a server.
"""

from __future__ import annotations

import asyncio
import statistics
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import argon2

from app import states
from app.eventstore import snapshot
from app.eventstore.log import read_newer
from app.settings import load
from app.store import Store, open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from tests.breaches.storing import find_no_snapshot
from tests.prove.client import Client
from tests.prove.load import SECRET
from tests.prove.tally import Tally
from tests.running import MASTER, running, settings
from tests.store.wishing import commit, log_in, register, rotate, user_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

    from app.eventstore.record import Record
    from projections.storage import Rows

MOST: Final = 1.5
"""Times a new user's, by the median."""
PROPERTY: Final = f"who rotated 100,000 times logs in within {MOST} times what a new user takes"
SIZE: Final = 100_000
OF: Final = "rotations"
STEP: Final = 100_000
SHORT: Final = 150
STORES: Final = ("sqlite", "postgresql")
BATCH: Final = 32
TURNS: Final = 31
SHORT_TURNS: Final = 1
BREACH_TURNS: Final = 3
TAIL: Final = snapshot.EVERY + 3 * 2 * BATCH
"""Events after the newest snapshot: a batch, of three events a wish, may go beyond."""


def prove(url: str, count: int) -> Tally:
    """Let one log in and rotate `count` times, and then time its logins beside new users'."""
    tally = Tally()
    given = settings(url)
    long = count >= SIZE
    turns = TURNS if long else SHORT_TURNS
    _live(url, given, count, turns, tally)
    ratio = _compare(given, turns, tally)
    if long:
        tally.figure("times a new user's", ratio)
        tally.expect(ratio <= MOST, f"it takes {ratio:.2f} times as long as a new user's")
        slow = _compare(given | {"GATEBOOK_TEST_NO_SNAPSHOTS": "1"}, BREACH_TURNS, Tally())
        tally.control("a server that reads all of a history", noticed=slow > MOST)
    tally.tried += count
    return tally


def _compare(given: dict[str, str], turns: int, tally: Tally) -> float:
    """How many times as long as a new user the old one takes, by the median of so many turns."""
    old, new = [], []
    for turn in range(turns):
        with running(given) as server:
            people = ["old", f"new-{turn}"]
            ordered = people if turn % 2 else people[::-1]
            times = asyncio.run(_log_in(server.port, ordered, tally))
        old.append(times[people[0]])
        new.append(times[people[1]])
    return statistics.median(old) / statistics.median(new)


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
    read = _read_by_new_writer(store, "once more")
    tally.expect(read <= TAIL, f"{read} events are read to know who is known by a snapshot")
    tally.figure("events read", read)
    with _instead(snapshot, newest=find_no_snapshot):
        read = _read_by_new_writer(store, "without")
    tally.control("a reader that finds no snapshot", noticed=read > TAIL)
    store.storage.close()


def _read_by_new_writer(store: Store, session: str) -> int:
    """How many events of the old one are read for a login by who remembers nothing."""
    found = [0]

    def noting(rows: Rows, versions: Mapping[str, int]) -> list[Record]:
        newer = read_newer(rows, versions)
        found[0] += sum(each.stream == user_key("old") for each in newer)
        return newer

    writer = Writer(store.log, store.vault, store.ring, Policy())
    with _instead(states, read_newer=noting):
        commit(writer, [log_in("old", session)])
    return found[0]


@contextmanager
def _instead(module: ModuleType, **parts: object) -> Iterator[None]:
    """In here the module has these in place of its own."""
    own = {name: vars(module)[name] for name in parts}
    vars(module).update(parts)
    try:
        yield
    finally:
        vars(module).update(own)


async def _log_in(port: int, people: list[str], tally: Tally) -> dict[str, float]:
    """How long each takes, after another has warmed the server up."""
    times = {}
    async with Client(port) as client:
        for who in ("warm", *people):
            answer = await client.post("/authenticate", user_key=user_key(who), user_secret=SECRET)
            tally.expect(answer.status == 200, f"{who}: {answer.status} {answer.body[:200]!r}")
            times[who] = answer.seconds
    return times
