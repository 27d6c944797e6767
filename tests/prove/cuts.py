"""What is left of a store when power fails, and what of it had been acknowledged by then.

A `Timed` ledger knows of everything that was acknowledged how far the journal of the disk was
(tests/prove/disk.py); so one life of a server can be cut at many moments.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from domain.errors import GatebookError
from projections.storage import StorageError
from tests.prove.changes import have_administrator
from tests.prove.disk import CUTS, Disk
from tests.prove.load import Ledger, check_tokens, working
from tests.prove.stored import check_store
from tests.prove.tally import Tally
from tests.running import running, settings
from tests.store.intruding import SQLITE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from tests.prove.disk import Cut
    from tests.running import Server

FILE: Final = "gatebook.db"
MOMENTS: Final = 10
"""Of each life of a server that are cut: the last, at which it is killed, and others before."""
LIFE_S: Final = 30.0
"""By then a server has to have acknowledged as much as is wanted of it."""
BREACH: Final = 20
"""Acknowledgements of a life whose loss has to be found out."""
TRIES: Final = 4


class _Noting(dict[str, str]):
    """What was acknowledged, and how far the disk's journal was then."""

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self._disk = disk
        self.since: dict[str, int] = {}

    def __setitem__(self, key: str, value: str) -> None:
        self.since[key] = self._disk.written
        super().__setitem__(key, value)

    def by(self, moment: int) -> dict[str, str]:
        """What had been acknowledged, whatever became of it later."""
        return {key: self.get(key, "") for key, since in self.since.items() if since <= moment}

    def begin(self) -> None:
        """The journal begins anew: what is there was acknowledged before."""
        self.since = dict.fromkeys(self.since, 0)


class Timed(Ledger):
    """A ledger that knows what had been acknowledged at which moment of a disk."""

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self._registered = self.registered = _Noting(disk)
        self._sessions = self.sessions = _Noting(disk)
        self._ended = self.ended = _Noting(disk)
        self._changes = self.changes = _Noting(disk)

    def begin(self) -> None:
        """A new life of the server, and of the journal."""
        for each in (self._registered, self._sessions, self._ended, self._changes):
            each.begin()

    def by(self, moment: int) -> Ledger:
        """What had been acknowledged; what was asked for as it is in the end."""
        found = Ledger()
        found.names, found.logins, found.asked = self.names, self.logins, self.asked
        found.registered = self._registered.by(moment)
        found.sessions, found.ended = self._sessions.by(moment), self._ended.by(moment)
        found.changes = self._changes.by(moment)
        return found


def check(url: str, ledger: Ledger, tally: Tally) -> None:
    """The store opens, what was acknowledged is there, and `audit verify` finds nothing."""
    try:
        check_store(url, ledger, tally)
    except (StorageError, GatebookError) as error:
        tally.wrong(f"the store can't be opened or read: {error!r}")


def live_and_cut(
    url: str,
    count: int,
    live: Callable[[Server, Disk, Timed], Coroutine[object, object, None]],
    tally: Tally,
    moments: int,
    **given: str,
) -> Timed:
    """So many lives of one store, each of which is killed at its end; then power fails."""
    with Disk(Path(url.removeprefix(SQLITE)).parent) as disk:
        ledger = Timed(disk)
        make(url, disk, tally)
        have_administrator(url, ledger)
        for _ in range(count):
            disk.begin()
            ledger.begin()
            with running(settings(url, **given, **disk.settings), disk.preloaded) as server:
                asyncio.run(live(server, disk, ledger))
            cut_and_reopen(disk, url, ledger, tally, moments)
    tally.count("power cuts", tally.tried)
    tally.tried = count
    for each in ledger.unexpected:
        tally.wrong(each)
    return ledger


def cut_before(disk: Disk, ledger: Timed, count: int, tally: Tally) -> None:
    """Cut the power at other moments of the life that has just ended.

    Each leaves a store of its own.
    """
    for _ in range(count):
        moment = random.randrange(disk.written)
        with tempfile.TemporaryDirectory(prefix="gatebook-prove-") as place:
            cut(disk, moment, random.choice(CUTS), Path(place), tally)
            if (Path(place) / FILE).exists():
                check(f"{SQLITE}{place}/{FILE}", ledger.by(moment), tally)
            else:
                nothing = not ledger.by(moment).registered
                tally.expect(nothing, "the file itself is gone, with all that was acknowledged")


def cut(disk: Disk, moment: int, how: Cut, place: Path, tally: Tally) -> None:
    """Leave in `place` what is on the medium at that moment, and count."""
    lost, torn = disk.cut(moment, how, place)
    tally.tried += 1
    tally.count("writes that a cut took away", lost)
    tally.count("writes that a cut tore", torn)


def cut_and_reopen(disk: Disk, url: str, ledger: Timed, tally: Tally, moments: int) -> None:
    """Cut the power at some moments of a life that was killed; what is left at the last is served.

    The next server opens the store, and so does whoever checks.
    """
    cut_before(disk, ledger, moments - 1, tally)
    cut(disk, disk.written, random.choice(CUTS), disk.directory, tally)
    with running(settings(url), disk.preloaded) as server:
        everything = {*ledger.sessions, *ledger.ended}
        asyncio.run(check_tokens(server.port, ledger, everything, tally))
    # Whoever closes a store brings its log into the file: the next life goes on without that.
    with tempfile.TemporaryDirectory(prefix="gatebook-prove-") as place:
        shutil.copytree(disk.directory, place, dirs_exist_ok=True)
        check(f"{SQLITE}{place}/{FILE}", ledger, tally)


async def work(server: Server, ledger: Ledger, tally: Tally, least: int) -> None:
    """Work until so much more is acknowledged, and have the server killed."""
    enough = ledger.acknowledged + least
    async with working([server.port], ledger):
        await acknowledged(ledger, enough, tally)
        server.kill()


async def acknowledged(ledger: Ledger, enough: int, tally: Tally) -> None:
    """Wait until so much is; its moment is none in particular."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LIFE_S):
            while ledger.acknowledged < enough:  # noqa: ASYNC110 - at any moment of it
                await asyncio.sleep(random.uniform(0.001, 0.02))
    lacking = enough - ledger.acknowledged
    tally.expect(lacking <= 0, f"{lacking} acknowledgements too few in {LIFE_S} s")


@contextmanager
def new_store() -> Iterator[tuple[str, Disk]]:
    """The URL of a store that was served and stopped in order, and a disk that has caught all."""
    with tempfile.TemporaryDirectory(prefix="gatebook-prove-") as directory:
        url = f"{SQLITE}{directory}/{FILE}"
        with Disk(Path(directory)) as disk:
            make(url, disk, Tally())
            yield url, disk


def make(url: str, disk: Disk, tally: Tally) -> None:
    """Have the store made; every byte of it has to be in the journal, or the disk is none."""
    disk.begin()
    with running(settings(url, **disk.settings), disk.preloaded) as server:
        tally.expect(server.stop() == 0, "a server that had nothing to do did not stop in order")
    tally.expect(disk.is_faithful(), "the journal does not have what the files have")


def is_noticed(given: dict[str, str], lying: int = 0) -> bool:
    """The control: whether a loss shows when commits are answered before the disk has them."""
    found = Tally()
    with new_store() as (url, disk):
        ledger = Timed(disk)
        disk.begin()
        disk.control.lying_syncs = lying
        with running(settings(url, **given, **disk.settings), disk.preloaded) as server:
            asyncio.run(work(server, ledger, Tally(), BREACH))
        for moment in range(disk.written, 0, -disk.written // TRIES):
            with tempfile.TemporaryDirectory(prefix="gatebook-prove-") as place:
                disk.cut(moment, "none", Path(place))
                check(f"{SQLITE}{place}/{FILE}", ledger.by(moment), found)
            if found.violations:
                break
    return any(each.startswith("lost: ") for each in found.first)
