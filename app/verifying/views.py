"""Every view is what a fresh fold of the log gives, row by row.

The log is folded once more, by the same code that keeps the views, into tables of a database of
its own. Knows no view.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from app.verifying.findings import Findings
from app.verifying.log import Step
from domain.stream import Recorded
from projections.comparison import Difference, differences, digest, spelled
from projections.live import newest
from projections.naming import Names, base_of, named, table_of
from projections.projection import Projection
from projections.registry import PROJECTIONS
from projections.storage import Rows, StorageError
from projections.storage_scratch import scratch

BATCH: Final = 500
_PLACES: Final = """
SELECT name, version, position, build, stalled, error_position, error_type, digest, digest_position
FROM views"""
_BUILDS: Final = "SELECT name, last FROM builds"
_HOW: Final = {
    "missing": "Missing: the log says that there is such a row.",
    "extra": "Too many: the log knows no such row.",
}


class _Place(NamedTuple):
    """What the store says of a view, which may be anything."""

    version: object
    position: object
    build: object
    stalled: object
    error_position: object
    error: object
    digest: object
    digest_position: object


class Views:
    """Takes the log's steps in their order; `live` are the views that are compared."""

    def __init__(self, live: Rows, fresh: Rows, findings: Findings) -> None:
        self._fresh = fresh
        self._findings = findings
        self._places = _places(live)
        self._builds = {name: last for batch in live.scan(_BUILDS) for name, last in batch}
        self._kept = tuple(each for each in PROJECTIONS if self._version(each.name) == each.version)
        self._live = named(live, _names(self._places))
        self._hold()
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
        for projection in newest(PROJECTIONS):
            self._check_place(projection, head)
        for name in sorted(self._places.keys() - {each.name for each in PROJECTIONS}):
            self._findings.add("views", name, "Too many: this release knows no such view.")
        there = [each for each in self._kept if self._is_there(each)]
        return {each.name: self._compared(each, head) for each in there}

    def _compared(self, projection: Projection, head: int) -> str:
        """The digest of a live view, whose differences are told, and that of a stored digest."""
        differs = False
        for found in differences(self._live, self._fresh, projection):
            differs = True
            self._findings.add(found.table, spelled(*found.key), _told(found))
        live, place = digest(self._live, projection), self._places[projection.name]
        if place.digest is not None and place.digest_position == place.position == head:
            right = digest(self._fresh, projection) if differs else live
            if place.digest != right:
                text = f"The digest that is kept of position {head} isn't that of the log."
                self._findings.add("views", projection.name, text)
        return live

    def _is_there(self, projection: Projection) -> bool:
        return self._live.has_table(base_of(projection.name, projection.version))

    def _hold(self) -> None:
        """What is read from isn't dropped before this is over, should it be rebuilt meanwhile."""
        for each in filter(self._is_there, self._kept):
            self._live.fetch(f"SELECT 1 FROM {base_of(each.name, each.version)} LIMIT 1")  # noqa: S608

    def _version(self, name: str) -> object:
        return self._places[name].version if name in self._places else None

    def _check_place(self, projection: Projection, head: int) -> None:
        told, name = self._findings.add, projection.name
        if name not in self._places:
            told("views", name, "Missing: nothing says which version of this view is live.")
            return
        place = self._places[name]
        version, position = place.version, place.position
        if projection.mode == "inline":
            self._check_flags(name, place)
        if name not in {each.name for each in self._kept}:
            text = f"Version {version} is live, this release knows {projection.version}."
            told("views", name, text)
        elif not self._is_there(projection):
            told("views", name, "The table that should be live isn't there.")
        self._check_build(name, place)
        late = not isinstance(position, int) or position > head
        if late or (projection.mode == "inline" and position != head):
            told("views", name, f"The view says that it is at {position}, the log is at {head}.")
        elif projection.mode == "follow":
            self._check_follower(name, place, head)

    def _check_build(self, name: str, place: _Place) -> None:
        """A number that is too low would be given again, to a table that is there."""
        last = self._builds.get(name, 0)
        if isinstance(place.build, int) and not (isinstance(last, int) and last >= place.build):
            text = f"The last build is said to be {spelled(str(last))}, and {place.build} is live. "
            self._findings.add("builds", name, text + f"Run: gatebook projections rebuild {name}")

    def _check_follower(self, name: str, place: _Place, head: int) -> None:
        """It may be behind the log, and stop at an event: there is one where it says so."""
        position = place.position
        if place.stalled != 0 and position == head:
            text = "It is said to have stopped, though no event is after it. "
            self._findings.add("views", name, text + "Run: gatebook projections retry")
        elif place.stalled != 0:
            where = f"{place.error_position} ({spelled(str(place.error))})"
            text = f"It stopped at {where}, the log is at {head}: no service brings it there. "
            self._findings.note("views", name, text + "Run: gatebook projections retry")
        elif position != head:
            text = f"It is at {position}, the log at {head}: a running service brings it there."
            self._findings.note("views", name, text)

    def _check_flags(self, name: str, place: _Place) -> None:
        """A view that is written with the events is never stopped by one."""
        if place.stalled != 0:
            self._findings.add("views", name, "It is said to have stopped, which it never does.")
        if place.error is not None:
            text = f"An error is kept of it: {spelled(str(place.error))}. Rebuild it."
            self._findings.add("views", name, text)

    def _fold(self) -> None:
        waiting, self._waiting = self._waiting, []
        for projection in self._kept:
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
        position = self._places[projection.name].position
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


def _places(rows: Rows) -> dict[str, _Place]:
    found = (row for batch in rows.scan(_PLACES) for row in batch)
    return {str(name): _Place(*place) for name, *place in found}


def _names(places: Mapping[str, _Place]) -> Names:
    """What the live tables are called, where that can be."""
    return tuple(
        (base_of(each.name, each.version), table_of(each.name, each.version, place.build))
        for each in PROJECTIONS
        if (place := places.get(each.name)) is not None
        and place.version == each.version
        and isinstance(place.build, int)
    )


def _told(found: Difference) -> str:
    if found.how == "changed":
        return f"Otherwise than in the log: {', '.join(found.columns)}."
    return _HOW[found.how]
