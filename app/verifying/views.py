"""Every view is what a fresh fold of the log gives, row by row.

The log is folded once more, by the same code that keeps the views, into tables of a database of
its own. Knows no view.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from app.verifying.findings import Findings, spelled
from app.verifying.log import Step
from domain.stream import Recorded
from projections.comparison import Difference, differences, digest
from projections.projection import Projection
from projections.registry import POINTERS, PROJECTIONS
from projections.storage import Rows, StorageError
from projections.storage_scratch import scratch

BATCH: Final = 500
_HOW: Final = {
    "missing": "Missing: the log says that there is such a row.",
    "extra": "Too many: the log knows no such row.",
}


class Views:
    """Takes the log's steps in their order; `live` are the views that are compared."""

    def __init__(self, live: Rows, fresh: Rows, findings: Findings) -> None:
        self._live = live
        self._fresh = fresh
        self._findings = findings
        self._reached = _positions(live)
        self._waiting: list[Recorded] = []

    def take(self, step: Step) -> None:
        """The next event; one that was changed is folded by itself, as well as it goes."""
        if step.recorded is None:
            return
        if not step.proved:
            self._fold()
        self._waiting.append(step.recorded)
        if not step.proved or len(self._waiting) >= BATCH:
            self._fold()

    def finish(self, head: int) -> dict[str, str]:
        """Compare; the digests of the live views."""
        self._fold()
        for projection in PROJECTIONS:
            self._check_pointer(projection, head)
        for name in sorted(self._reached.keys() - {each.name for each in PROJECTIONS}):
            self._findings.add("views", name, "Too many: this release knows no such view.")
        for projection in PROJECTIONS:
            for found in differences(self._live, self._fresh, projection):
                self._findings.add(found.table, spelled(*found.key), _told(found))
        return {each.name: digest(self._live, each) for each in PROJECTIONS}

    def _check_pointer(self, projection: Projection, head: int) -> None:
        told, name = self._findings.add, projection.name
        if name not in self._reached:
            told("views", name, "Missing: nothing says which version of this view is live.")
            return
        version, position = self._reached[name]
        if version != projection.version:
            text = f"Version {version} is live, this release knows {projection.version}."
            told("views", name, text)
        late = not isinstance(position, int) or position > head
        if late or (projection.mode == "inline" and position != head):
            told("views", name, f"The view says that it is at {position}, the log is at {head}.")

    def _fold(self) -> None:
        waiting, self._waiting = self._waiting, []
        for projection in PROJECTIONS:
            until = self._until(projection)
            wanted = [
                each
                for each in waiting
                if type(each.event) in projection.wants and each.position <= until
            ]
            if wanted:
                self._apply(projection, wanted)

    def _until(self, projection: Projection) -> int:
        """A view that follows the log may be behind it."""
        position = self._reached.get(projection.name, (0, 0))[1]
        if projection.mode == "follow" and isinstance(position, int):
            return position
        return 2**63

    def _apply(self, projection: Projection, wanted: Sequence[Recorded]) -> None:
        """Write; what can't be, after an event that was changed, is told and passed over."""
        self._fresh.execute("SAVEPOINT batch")
        try:
            projection.apply(self._fresh, wanted)
        except StorageError as error:
            self._fresh.execute("ROLLBACK TO batch")
            if len(wanted) > 1:
                for each in wanted:
                    self._apply(projection, [each])
            else:
                text = f"This event doesn't fit what is before it ({projection.name}: {error})."
                self._findings.add("events", wanted[0].position, text)
        self._fresh.execute("RELEASE batch")


@contextmanager
def views(live: Rows, findings: Findings) -> Iterator[Views]:
    """Views to be compared with those of a store."""
    with scratch() as fresh:
        for projection in PROJECTIONS:
            for statement in projection.tables:
                fresh.define(statement)
        yield Views(live, fresh, findings)


def _positions(rows: Rows) -> dict[str, tuple[object, object]]:
    found = (row for batch in rows.scan(POINTERS) for row in batch)
    return {str(name): (version, position) for name, version, position in found}


def _told(found: Difference) -> str:
    if found.how == "changed":
        return f"Otherwise than in the log: {', '.join(found.columns)}."
    return _HOW[found.how]
