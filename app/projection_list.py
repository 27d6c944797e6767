"""The projections as operators see them: how far each is, what stops it, whether it is rebuilt.

Reads a snapshot that it is given. Knows no HTTP and no terminal, and nothing of how a view is
filled.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from app.eventstore.log import read_head
from app.timestamps import rfc3339
from domain.policy import SECOND
from projections.live import find, newest
from projections.projection import Mode
from projections.rebuild_state import State, read_state
from projections.registry import PROJECTIONS
from projections.storage import Row, Rows

_VIEWS: Final = """
SELECT name, version, position, digest, digest_position, stalled, error_position, error_type,
  error_detail
FROM views"""


class ProjectionError(msgspec.Struct, frozen=True):
    """What stopped a following view, or the last rebuild: an event, or rows that differ."""

    position: int
    type: str
    detail: str


class RebuildItem(msgspec.Struct, frozen=True):
    """A rebuild under way; `eta_s` is null until it is known how fast it goes.

    And when whoever was at it has been silent for too long: it was broken off.
    """

    version: int
    position: int
    started_at: str
    eta_s: int | None


class ProjectionItem(msgspec.Struct, frozen=True):
    """A view as everybody outside sees it; `lag` is in events.

    `digest` is over its rows as they were at `digest_position`, when they were last compared with
    the log.
    """

    name: str
    version: int
    mode: Mode
    state: Literal["live", "building", "stalled"]
    position: int
    head: int
    lag: int
    digest: str | None
    digest_position: int | None
    error: ProjectionError | None
    rebuild: RebuildItem | None


class _View(msgspec.Struct, frozen=True):
    """A row of `_VIEWS`."""

    name: str
    version: int = 0
    position: int = 0
    digest: str | None = None
    digest_position: int | None = None
    stalled: int = 0
    error_position: int | None = None
    error_type: str | None = None
    error_detail: str | None = None

    @classmethod
    def of(cls, row: Row) -> _View:
        """The row as the storage gives it."""
        return cls(*row)  # type: ignore[arg-type]

    @property
    def error(self) -> ProjectionError | None:
        """Nothing while there is none."""
        if self.error_position is None:
            return None
        return ProjectionError(self.error_position, self.error_type or "", self.error_detail or "")


def items(rows: Rows, now: int) -> list[ProjectionItem]:
    """Every projection that this release keeps; `now` in µs."""
    head, state = read_head(rows).position, read_state(rows)
    views = {view.name: view for view in map(_View.of, rows.fetch(_VIEWS))}
    return [
        _item(views.get(each.name, _View(each.name)), each.mode, head, state, now)
        for each in newest(PROJECTIONS)
    ]


def item(rows: Rows, name: str, now: int) -> ProjectionItem:
    """The projection of a name; raises `NotFound`."""
    find(PROJECTIONS, name)
    (found,) = (each for each in items(rows, now) if each.name == name)
    return found


def _item(view: _View, mode: Mode, head: int, state: State | None, now: int) -> ProjectionItem:
    building = state if state is not None and state.name == view.name else None
    return ProjectionItem(
        view.name,
        view.version,
        mode,
        "building" if building else "stalled" if view.stalled else "live",
        view.position,
        head,
        head - view.position,
        view.digest,
        view.digest_position,
        view.error,
        None if building is None else _rebuild(building, head, now),
    )


def _rebuild(state: State, head: int, now: int) -> RebuildItem:
    done, since = state.position - state.resumed_position, now - state.resumed_at
    eta = None
    if done > 0 and since > 0 and state.lease_until > now:
        eta = max(0, round((head - state.position) * since / done / SECOND))
    return RebuildItem(state.version, state.position, rfc3339(state.started_at), eta)
