"""A run, from its plan to what it came to.

    outcome = play(Plan(seed=7, steps=1_000), directory)

Knows nobody who takes part: that is `tests.simulation.world`.
"""

from __future__ import annotations

import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from tests.prove.stored import check_log
from tests.prove.tally import Tally
from tests.simulation import virtual_time
from tests.simulation.followed import check_followed
from tests.simulation.outcome import Outcome, told
from tests.simulation.process import prepare
from tests.simulation.violation import Violation
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.bootstrap import Service
    from tests.simulation.plan import Plan
    from tests.simulation.virtual_time import VirtualLoop


def play(
    plan: Plan,
    directory: Path,
    *,
    started: Callable[[Service], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """One run, over a new store; `started` hears of each service, `tell` of each step.

    Whatever is raised is an outcome as well: it goes with the seed, and it gets smaller.
    """

    async def main(loop: VirtualLoop, path: Path) -> Outcome:
        world = World(plan, loop, path, started, tell)
        try:
            await world.run()
            return world.outcome()
        except Exception as error:  # noqa: BLE001 - whoever raised it, the run is over by it
            return world.outcome(error)
        finally:
            world.close()

    with quiet(), tempfile.TemporaryDirectory(dir=directory) as folder:
        path = Path(folder) / "gatebook.db"
        outcome = Outcome(0, "", {})
        try:
            outcome = virtual_time.run(lambda loop: main(loop, path))
            if not outcome.kind:
                _check_whole(path)
        except Exception as error:  # noqa: BLE001 - likewise, before its first step or after its last
            kind, what = told(error)
            return msgspec.structs.replace(outcome, kind=kind, violation=what)
        return outcome


def _check_whole(path: Path) -> None:
    """The store as the run has left it; raises `Violation`."""
    tally = Tally()
    log = check_log(f"sqlite:///{path}", tally)
    if tally.first:
        raise Violation("whole", tally.first[0])
    check_followed(path, log)


@contextmanager
def quiet() -> Iterator[None]:
    """What services say of the faults that they meet is for nobody to read."""
    prepare()
    before = structlog.get_config()
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)
    try:
        yield
    finally:
        structlog.configure(**before)
