"""Every projection, and how a batch of events reaches those that are written with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from domain.stream import Recorded
from projections.projection import Projection
from projections.revocations import Revocations
from projections.storage import Rows
from projections.token_lookup import TokenLookup
from projections.user_directory import UserDirectory

PROJECTIONS: Final[tuple[Projection, ...]] = (UserDirectory(), TokenLookup(), Revocations())

CREATE_POINTERS: Final = """
CREATE TABLE IF NOT EXISTS views (
  name TEXT PRIMARY KEY,
  version BIGINT NOT NULL,
  position BIGINT NOT NULL
)"""
"""Which version of each view is live, and the position that it has reached."""

POINTERS: Final = "SELECT name, version, position FROM views"
POINT: Final = "INSERT INTO views (name, version, position) VALUES (?, ?, 0)"
_ADVANCE: Final = "UPDATE views SET position = ? WHERE name IN ({})".format(
    ", ".join(f"'{each.name}'" for each in PROJECTIONS if each.mode == "inline")
)


def apply_inline(rows: Rows, batch: Sequence[Recorded]) -> None:
    """Write every inline view's share of a batch, and the position that it reaches."""
    for projection in PROJECTIONS:
        if projection.mode == "inline":
            wanted = [each for each in batch if type(each.event) in projection.wants]
            if wanted:
                projection.apply(rows, wanted)
    rows.execute(_ADVANCE, (batch[-1].position,))


def unknown_views(rows: Rows) -> str | None:
    """What is wrong when a live view isn't of a version that this release keeps, else None."""
    live = {name: version for name, version, _ in rows.fetch(POINTERS)}
    for projection in PROJECTIONS:
        found = live.get(projection.name)
        if found != projection.version:
            return (
                f"The view {projection.name} is at version {found!r}, this release knows "
                f"{projection.version}. Run: gatebook projections rebuild"
            )
    return None
