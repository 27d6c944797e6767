"""A store of any number of people, made in minutes: what a service writes, in large batches.

`python -m tests.benchmarks.population USERS [DATABASE_URL]` makes one. Commands are given to the
writer that every service has, so that rules, sealing, chain, keys and views are the same; only are
more of them decided in one transaction, and on SQLite nobody waits for the disk before the end.
There the days of their lives are told by a clock of our own, and end now; on PostgreSQL, whose
clock is the database's, all happens at once. Everything but keys and nonces follows from a
person's number. Knows no HTTP.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

from app.argon2id import Argon2id
from app.bootstrap import open_vault
from app.eventstore.feed import LogFeed
from app.known_networks import Network, network_mac
from app.settings import load
from app.store import SQLITE, Store, open_store, storage_of
from app.throttle import network_of
from app.writer import Wish, Writer
from domain import commands
from domain.policy import SECOND, Policy
from domain.sealed import Clear
from domain.stream import ANONYMOUS, CLI, Meta, Origin, actor_of
from projections.registry import PROJECTIONS
from projections.runner import Follower
from projections.storage import Storage
from projections.storage_sqlite import SqliteStorage
from tests.benchmarks.processes import ROOT, settings
from tests.store.wishing import commit, session_id, user_key

DAYS: Final = 24
"""Of the lives that are told; a session that nobody uses lasts for thirty."""
BATCH: Final = 5_000
SECRET: Final = "correct horse battery"
IP: Final = "127.0.0.1"
USER_AGENT: Final = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 "
    "Safari/537.36"
)
"""Where all of them are, so that whoever goes on from here is where they were."""
ADMINISTRATOR: Final = 0
KEPT: Final = ROOT / ".bench"
KEPT_FOR: Final = 4 * 86_400.0
"""Seconds after which a kept store's newest session is too old."""

_SOURCES: Final = ("app", "domain", "projections", "tests/benchmarks/population.py")

Say = Callable[[str], None]


class Person(NamedTuple):
    """Somebody."""

    number: int
    name: str
    """The user_id, of one length for all."""
    user_key: str

    @classmethod
    def of(cls, number: int) -> Person:
        """The one of this number."""
        name = f"person{number:08}@example.org"
        return cls(number, name, user_key(name))

    def session(self, visit: int) -> str:
        """The session_id of a visit."""
        return session_id(self.name, str(visit))


def visit_on(number: int, age: int) -> int | None:
    """Which of somebody's visits is so many days after the registration.

    Six in ten come once, three twice and one five times, if the days suffice.
    """
    visit, rest = divmod(age, 1 + number % 3)
    return visit if not rest and visit < (1, 1, 1, 1, 1, 1, 2, 2, 2, 5)[number % 10] else None


class Clock:
    """The time that a store is told, in seconds."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        """The time."""
        return self.now


class Population:
    """Makes people live in a store; nothing is in it but what it was opened with."""

    def __init__(self, store: Store, users: int, clock: Clock, batch: int = BATCH) -> None:
        self._store = store
        self._users = users
        self._clock = clock
        self._batch = batch
        self._end = clock.now
        self._writer = Writer(store.log, store.vault, store.ring, Policy())
        self._hash = Argon2id().hash(SECRET, 8, 1).encoded

    def live(self, say: Say) -> None:
        """All days, and then what follows the log by itself."""
        for day in range(DAYS):
            for over, wishes in self._day(day):
                self._clock.now = self._end - 86_400 * (DAYS - day - over)
                commit(self._writer, wishes)
            say(f"day {day + 1} of {DAYS}")
        self._clock.now = self._end
        Follower(self._store.storage, LogFeed(), PROJECTIONS).catch_up()

    def _day(self, day: int) -> Iterator[tuple[float, list[Wish]]]:
        """The parts of a day, and how much of it is over when each begins."""
        first, last = (-(-self._users * each // DAYS) for each in (day, day + 1))  # rounded up
        new = sorted(map(Person.of, range(first, last)), key=attrgetter("user_key"))
        visits = [
            (Person.of(number), visit)
            for number in range(last)
            if (visit := visit_on(number, day - number * DAYS // self._users)) is not None
        ]
        # In this order what a batch changes lies together, which halves the work.
        visits.sort(key=lambda each: each[0].user_key)
        plan: list[Callable[[], Wish]] = []
        plan += [partial(self.registered, who) for who in new]
        if day == 0:
            plan.append(partial(self.permitted, Person.of(ADMINISTRATOR)))
        plan += [partial(self.logged_in, who, visit) for who, visit in visits]
        plan += [
            partial(self.used, who, visit) for who, visit in visits if (who.number + visit) % 5
        ]
        plan += [partial(self.rotated, who, visit) for who, visit in visits if who.number % 10 == 6]
        plan += [partial(self.ended, who, visit - 1) for who, visit in visits if visit % 2]
        plan += [partial(self.failed, who) for who, _ in visits if who.number % 40 == 7]
        for begin in range(0, len(plan), self._batch):
            yield begin / len(plan), [make() for make in plan[begin : begin + self._batch]]

    def registered(self, who: Person) -> Wish:
        """Take a name; the secret is everybody's."""
        command = commands.RegisterUser(who.user_key, Clear(who.name), Clear(self._hash))
        return Wish(command, _meta(ANONYMOUS, who, "register"))

    def permitted(self, who: Person) -> Wish:
        """Make an administrator."""
        return Wish(commands.SetPermissions(who.user_key, ("admin",)), Meta(CLI, _request(who, "")))

    def logged_in(self, who: Person, visit: int, *, known: bool = False) -> Wish:
        """Begin a session, from the network of all others; `known` is noted already."""
        command = commands.StartSession(who.user_key, who.session(visit), "secret", 1)
        mac = network_mac(self._store.ring.network, who.user_key, network_of(IP))
        now = int(self._clock.now * SECOND)
        rows = Network(mac, now if known else None).logged_in(who.user_key, now)
        return Wish(command, _meta(actor_of(who.user_key), who, f"log in {visit}"), rows)

    def used(
        self,
        who: Person,
        visit: int,
        reason: commands.UseReason = "first",
        seen_at: int | None = None,
    ) -> Wish:
        """Use a session's token."""
        command = commands.RecordUse(who.user_key, who.session(visit), 1, reason, seen_at)
        return Wish(command, _meta(actor_of(who.user_key), who, f"use {visit}"))

    def rotated(self, who: Person, visit: int) -> Wish:
        """Change a session's token."""
        command = commands.RotateToken(who.user_key, who.session(visit), 1)
        return Wish(command, _meta(actor_of(who.user_key), who, f"rotate {visit}"))

    def ended(self, who: Person, visit: int) -> Wish:
        """End a session."""
        command = commands.EndSession(who.user_key, who.session(visit), "owner")
        return Wish(command, _meta(actor_of(who.user_key), who, f"end {visit}"))

    def failed(self, who: Person) -> Wish:
        """Show wrong secrets."""
        now = int(self._clock.now * SECOND)
        command = commands.RecordFailedLogins(who.user_key, 2, now - SECOND, now)
        return Wish(command, _meta(ANONYMOUS, who, "fail"))


def _meta(actor: str, who: Person, what: str) -> Meta:
    return Meta(actor, _request(who, what), Origin(IP, USER_AGENT).clear())


def _request(who: Person, what: str) -> str:
    return hashlib.sha256(f"{who.name} {what}".encode()).hexdigest()[:32]


def opened(url: str, storage: Storage | None = None) -> Store:
    """A store under the master key and the algorithm of a benchmark's service."""
    given = load(settings(url)).settings
    return open_store(storage or storage_of(url), open_vault(given), given.signing_algorithm)


def populate(url: str, users: int, say: Say = lambda _: None) -> None:
    """Fill an empty database. One of SQLite is whole and on the disk when this returns."""
    clock = Clock()
    if not url.startswith(SQLITE):
        store = opened(url)
        with store.storage.roomy():
            Population(store, users, clock).live(say)
        store.storage.close()
        return
    path = Path(url.removeprefix(SQLITE))
    storage = SqliteStorage(path, synchronous="OFF", clock=clock)
    end, clock.now = clock.now, clock.now - 86_400 * DAYS
    store = opened(url, storage)
    clock.now = end
    with storage.roomy():
        Population(store, users, clock).live(say)
    storage.close()
    with path.open("rb") as file:
        os.fsync(file.fileno())


def kept(users: int, say: Say = lambda _: None) -> Path:
    """A populated SQLite store in `.bench`, made now unless there is one of this source.

    Those of another source are removed. It is for reading: sessions that somebody used are old no
    more, and whoever came next would find fewer (`lent`).
    """
    folder = KEPT / fingerprint()
    path = folder / f"{users}" / "gatebook.db"
    if path.exists() and time.time() - path.stat().st_mtime < KEPT_FOR:
        return path
    for old in KEPT.glob("*"):
        if old != folder:
            shutil.rmtree(old)
    making = folder / f"{users}.making"
    for each in (making, path.parent):
        shutil.rmtree(each, ignore_errors=True)
    making.mkdir(parents=True)
    populate(f"{SQLITE}{making / path.name}", users, say)
    making.rename(path.parent)
    return path


@contextmanager
def lent(users: int) -> Iterator[str]:
    """A copy of a kept store, for a benchmark to use up: it takes as much room again meanwhile."""
    path = kept(users)
    with tempfile.TemporaryDirectory(prefix="lent-", dir=path.parent) as directory:
        copy = Path(shutil.copy(path, directory))
        with copy.open("rb") as file:
            os.fsync(file.fileno())  # written now, and not while something is measured
        yield f"{SQLITE}{copy}"


def fingerprint() -> str:
    """A short name for the source that decides what is in a store."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        path = ROOT / name
        for each in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(str(each.relative_to(ROOT)).encode() + b"\0" + each.read_bytes())
    return digest.hexdigest()[:16]


def main(arguments: Sequence[str] | None = None) -> int:
    """Make one, and say how long each day took; the exit code."""
    parser = argparse.ArgumentParser(description="A store of so many people.")
    parser.add_argument("users", type=int)
    parser.add_argument("url", nargs="?", help="an empty database; else a file in .bench")
    given = parser.parse_args(arguments)
    began = time.perf_counter()

    def say(what: str) -> None:
        print(f"{time.perf_counter() - began:8.1f} s  {what}", flush=True)

    if given.url is None:
        say(f"{SQLITE}{kept(given.users, say)}")
    else:
        populate(given.url, given.users, say)
        say(given.url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
