"""A service in a time of its own, with faults, honest clients and thieves, all drawn from seeds.

One process (`tests.simulation`): the product's rules, writer, views, look-ups and HTTP handlers as
several services over one SQLite file; lost and doubled requests, commits that are lost or whose
answer is, crashes, slow commits, clocks that jump, and people's that are wrong; people who change
their secret and erase themselves, and administrators who disable, enable, give and take
permissions and erase; some come back just inside or outside of the retry window, or of a session's
limit, and some log in on more devices than they may have sessions. After each step the log is read
and the answer judged; at the end, the views that follow are compared with a rebuild. Few sessions
may be excused as nobody's fault. A run that goes wrong is made smaller and printed, to be kept in
`tests/simulation/kept.py`.
The long form draws new seeds each time.
"""

from __future__ import annotations

import os
import random
import signal
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.prove.tally import Tally
from tests.simulation.breaches import BREACHES
from tests.simulation.controls import CONTROLS
from tests.simulation.plan import plan_of
from tests.simulation.play import play
from tests.simulation.shrinking import shrink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from tests.simulation.breaches import Breach

PROPERTY: Final = "nobody gets in again, nothing acknowledged is lost, nobody honest is logged out"
SIZE: Final = 1_000_000
OF: Final = "steps"
STEP: Final = 20_000
SHORT: Final = 600
STORES: Final = ("sqlite",)
A_RUN: Final = 1_000
"""Steps of one run."""
SHORT_SEED: Final = 1
"""Of a run with a thief, who is found out."""
ALWAYS_MET: Final = ("refresh_token.reuse_detected", "sessions, stolen", "views followed")
"""Without which even a short run shows less than it says."""
MET: Final = (
    *ALWAYS_MET,
    "refresh_token.repeated",
    "signing_key.withdrawn",
    "user.secret_changed",
    "user.disabled",
    "user.enabled",
    "user.permissions_set",
    "user.erased",
    "names had again",
    "erased users shown",
    "without a permission",
    "sessions shown late",
    "access tokens shown late",
    "ended at the cap",
    "told of an end at the cap",
    "lost commit",
    "lost acknowledgement",
    "store away",
    "slow commit",
    "crash before commit",
    "crash after commit",
    "clock jump",
)
"""Without which a long run shows less than it says."""
EXCUSED: Final = {"a window": 0.15, "a short window": 0.75}
"""What part of the unstolen sessions may have heard nothing for all of the retry window: their end
is held against nobody, so that they show nothing."""
SEARCHED: Final = 20
"""Runs in which a breach has to be noticed, when its kept plan doesn't show it."""


def prove(url: str, count: int) -> Tally:
    """Take `count` steps, in runs over stores of their own; then break each rule once."""
    directory = Path(url.removeprefix("sqlite:///")).parent
    tally = Tally()
    if count < STEP:
        tally.add(_runs(directory, SHORT_SEED, count))
    else:
        for each in _on_every_core(directory, count):
            tally.add(each)
    for met in MET if count >= STEP else ALWAYS_MET:
        tally.expect(tally.counts.get(met, 0) > 0, f"{met}: nothing shown")
    check_excused(tally)
    for breach in BREACHES:
        tally.control(breach.name, noticed=_notices(breach, directory))
    return tally


def check_excused(tally: Tally) -> None:
    """Whether enough of the sessions are held against the service."""
    for window, share in EXCUSED.items():
        of = tally.counts.get(f"sessions of {window}", 0)
        excused = tally.counts.get(f"sessions of {window}, beyond the rules", 0)
        tally.expect(excused <= share * of, f"excused: {excused} of {of} sessions of {window}")


def _on_every_core(directory: Path, count: int) -> Iterator[Tally]:
    """What a process for each core came to; they end with whoever waits for them.

    No pool: it waits for its processes when it is broken off, and again when that is broken off.
    """
    cores = os.cpu_count() or 1
    context = get_context("spawn")
    workers: list[tuple[BaseProcess, Connection]] = []
    try:
        for each in range(cores):
            ours, theirs = context.Pipe(duplex=False)
            seed = random.SystemRandom().randrange(2**48)
            share = count // cores + (each < count % cores)
            process = context.Process(
                target=_share, args=(theirs, directory, seed, share), daemon=True
            )
            workers.append((process, ours))
            process.start()
            theirs.close()
        for _, ours in workers:
            yield ours.recv()
    finally:
        for worker, ours in workers:
            ours.close()
            if worker.pid is not None:
                worker.kill()
                worker.join()


def _share(result: Connection, directory: Path, seed: int, count: int) -> None:
    """In a process of its own, which leaves it to the first one what an interrupt means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    result.send(_runs(directory, seed, count))


def _runs(directory: Path, seed: int, count: int) -> Tally:
    """So many steps, with this seed and those that follow, until something is wrong."""
    tally = Tally()
    while tally.tried < count and not tally.violations:
        plan = plan_of(seed, min(A_RUN, count - tally.tried))
        outcome = play(plan, directory)
        if outcome.kind:
            small = shrink(plan, lambda each: play(each, directory))
            again = play(small, directory)
            tally.wrong(f"{again.violation or outcome.violation}; keep {small!r}")
        tally.tried += outcome.steps
        tally.count("runs")
        for name, number in outcome.counts.items():
            tally.count(name, number)
        seed += 1
    return tally


def _notices(breach: Breach, directory: Path) -> bool:
    plans = [CONTROLS[breach.name], *(plan_of(seed, A_RUN // 2) for seed in range(SEARCHED))]
    with breach.made() as started:
        return any(play(each, directory, started=started).kind in breach.kinds for each in plans)
