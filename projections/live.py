"""Which views are live: of each its version, its build, and the position that it has reached.

Read in one moment with whatever is read or written of the views. Knows no view but by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from domain.errors import NotFound
from domain.stream import Recorded
from projections.naming import Names, base_of, named, table_of
from projections.projection import Projection
from projections.storage import Lost, Rows

CREATE_POINTERS: Final = """
CREATE TABLE IF NOT EXISTS views (
  name TEXT PRIMARY KEY,
  version BIGINT NOT NULL,
  position BIGINT NOT NULL
)"""
"""Which version of each view is live, and the position that it has reached."""
ADD_BUILD: Final = "ALTER TABLE views ADD COLUMN build BIGINT NOT NULL DEFAULT 0"

POINT: Final = "INSERT INTO views (name, version, position) VALUES (?, ?, 0)"
POINTERS: Final = "SELECT name, version, position, build FROM views"
_ADVANCE: Final = """
UPDATE views SET position = CASE WHEN position = ? THEN ? END WHERE name IN (%s)"""
"""A view that is anywhere else would be nowhere, which the column refuses: all of it fails, and
no answer has to be waited for."""


class UnknownView(Lost):
    """A live view is of a version that this release doesn't keep, or isn't there."""


class MissedEvents(Lost):
    """An inline view isn't where the log ends."""


class Pointer(NamedTuple):
    """Which tables are a view's, and how far they have come."""

    name: str
    version: int
    position: int
    build: int

    @property
    def table(self) -> str:
        """The view's table in the store."""
        return table_of(self.name, self.version, self.build)


def read_pointers(rows: Rows) -> dict[str, Pointer]:
    """Every view's pointer, by name."""
    found = (Pointer(*row) for row in rows.fetch(POINTERS))  # type: ignore[arg-type]
    return {each.name: each for each in found}


class Live:
    """The live views of a moment, with what keeps them."""

    def __init__(self, pointers: Mapping[str, Pointer], kept: Sequence[Projection]) -> None:
        self.pointers = pointers
        self.projections = tuple(_keeper(each, pointers, kept) for each in newest(kept))
        self.inline = tuple(each for each in self.projections if each.mode == "inline")
        self.names: Names = tuple(
            (base_of(each.name, each.version), each.table)
            for each in pointers.values()
            if each.build
        )
        marks = ", ".join("?" * len(self.inline))
        self._advance = _ADVANCE % marks, [each.name for each in self.inline]

    def rows(self, rows: Rows) -> Rows:
        """Rows of the moment, in which the views' names stand for the live tables."""
        return named(rows, self.names)

    def check(self, head: int) -> None:
        """Raises `MissedEvents` for an inline view that isn't at the head, naming what to run."""
        for each in self.inline:
            position = self.pointers[each.name].position
            if position != head:
                msg = (
                    f"The view {each.name} is at {position}, the log at {head}: a release that "
                    f"doesn't keep it has written. Run: gatebook projections rebuild {each.name}"
                )
                raise MissedEvents(msg)

    def apply(self, rows: Rows, batch: Sequence[Recorded]) -> None:
        """Write every inline view's share of a batch, and the position that it reaches.

        A view that isn't where the batch begins is refused by the storage.
        """
        live = self.rows(rows)
        for projection in self.inline:
            wanted = [each for each in batch if type(each.event) in projection.wants]
            if wanted:
                projection.apply(live, wanted)
        sql, inline = self._advance
        rows.execute(sql, (batch[0].position - 1, batch[-1].position, *inline))


def read_live(rows: Rows, kept: Sequence[Projection]) -> Live:
    """The views that are live; raises `UnknownView` naming what to run."""
    return Live(read_pointers(rows), kept)


def newest(kept: Sequence[Projection]) -> tuple[Projection, ...]:
    """The newest version of each view that a release keeps."""
    return tuple({each.name: each for each in kept}.values())


def find(kept: Sequence[Projection], name: str) -> Projection:
    """The newest version of a view; raises `NotFound`."""
    known = newest(kept)
    for each in known:
        if each.name == name:
            return each
    names = ", ".join(each.name for each in known)
    msg = f"There is no such projection. There are: {names}."
    raise NotFound(msg)


def _keeper(
    newest: Projection, pointers: Mapping[str, Pointer], kept: Sequence[Projection]
) -> Projection:
    """What keeps the live version of a view, which may not be the newest."""
    live = pointers.get(newest.name)
    for each in kept:
        if live is not None and (each.name, each.version) == (live.name, live.version):
            return each
    found = "not there" if live is None else f"at version {live.version}"
    msg = (
        f"The view {newest.name} is {found}, this release keeps version {newest.version}. "
        f"Run: gatebook projections rebuild {newest.name}"
    )
    raise UnknownView(msg)
