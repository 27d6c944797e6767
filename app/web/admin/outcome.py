"""What came of a rebuild, by what the store shows afterwards.

Knows no page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from app.projection_list import ProjectionItem
from projections.live import Pointer
from projections.rebuild import DIFFERS


class Outcome(NamedTuple):
    """`swapped` when its tables are new, `gone` when it was given up."""

    what: Literal["building", "swapped", "differs", "stopped", "gone"]
    view: ProjectionItem
    rows: list[str]
    """The first of those that differ."""


def outcome_of(
    views: Sequence[ProjectionItem],
    pointers: Mapping[str, Pointer],
    name: str = "",
    build: str = "",
) -> Outcome | None:
    """Of the view of this name, whose tables were those of `build` when it began."""
    view = next((each for each in views if each.name == name), None)
    if view is None:
        return None
    if view.rebuild is not None:
        return Outcome("building", view, [])
    if str(pointers[name].build) != build:
        return Outcome("swapped", view, [])
    if view.error is not None and view.error.type == DIFFERS:
        return Outcome("differs", view, view.error.detail.partition(": ")[2].split("; "))
    return Outcome("gone" if view.error is None else "stopped", view, [])
