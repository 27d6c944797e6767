"""Whether the views that follow are, at the end of a run, what a rebuild makes of the log.

Processes followed in turns, each met by faults; here one goes on from where they were, and then
everything is folded anew in one go. Knows no process.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from app.eventstore.feed import LogFeed
from projections.comparison import differences
from projections.live import read_live
from projections.registry import PROJECTIONS
from projections.runner import Follower
from projections.storage_sqlite import SqliteStorage
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.stream import Recorded

FOLLOWING = tuple(each for each in PROJECTIONS if each.mode == "follow")


def check_followed(path: Path, log: Sequence[Recorded]) -> None:
    """Raises `Violation`."""
    storage = SqliteStorage(path, synchronous="OFF")
    try:
        stopped = Follower(storage, LogFeed(), PROJECTIONS).catch_up()
        if stopped:
            raise Violation("followed", f"{stopped}")
        _compare(storage, log)
    finally:
        storage.close()


def _compare(storage: SqliteStorage, log: Sequence[Recorded]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        scratch = SqliteStorage(Path(directory) / "scratch.db", synchronous="OFF")
        scratch.prepare()
        with storage.snapshot() as rows, scratch.transaction() as fresh:
            live = read_live(rows, PROJECTIONS).rows(rows)
            for projection in FOLLOWING:
                for statement in projection.tables:
                    fresh.define(statement)
                projection.apply(fresh, [e for e in log if type(e.event) in projection.wants])
                for each in differences(live, fresh, projection):
                    raise Violation("followed", f"{projection.name}: {each}")
        scratch.close()
