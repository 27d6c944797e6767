"""What a projection is: code that keeps a view, and the view's tables.

The same `apply` serves inline writing, following and rebuilding, and is the only code that
writes the view. It reads no clock and opens no seal: what it stores follows from events alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from domain.events import Event
from domain.stream import Recorded
from projections.storage import Rows

Mode = Literal["inline", "follow"]


class Projection(Protocol):
    """A view and its keeper.

    `tables` is DDL that makes the one table `NAME_vVERSION`, and indexes whose names begin with
    that and `_`. `wants` are the events that it reads. `apply` only executes: it reads nothing.
    """

    name: str
    version: int
    mode: Mode
    wants: frozenset[type[Event]]
    tables: tuple[str, ...]

    def apply(self, rows: Rows, batch: Sequence[Recorded]) -> None:
        """Write what a batch of wanted events, in log order, changes in the view."""
