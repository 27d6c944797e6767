"""A rebuild at work, as somebody sees it who looks at the store from outside.

Whoever rebuilds is killed once the position that stands in the store has passed a random place, and
what goes on later is judged: the same build, from where the killed one was. Knows neither who
rebuilds nor how it is killed.
"""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from app.eventstore.log import read_head
from app.store import storage_of
from projections.live import read_pointers
from projections.rebuild_state import State, read_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from projections.storage import Storage
    from tests.prove.tally import Tally

PATIENCE_S: Final = 180
BEGAN_AGAIN: Final = "a rebuild began again"
"""How a violation of it is told."""
LOOK_EVERY: Final = 0.001
"""Seconds; a portion of a thousand events takes some tens of them."""


class Watch:
    """Looks at the rebuild of one store; belongs to one thread."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def state(self) -> State | None:
        """The rebuild under way."""
        with self._storage.snapshot() as rows:
            return read_state(rows)

    def state_left(self) -> State | None:
        """The rebuild that a killed process left, once nothing of its own can still come."""
        with self._storage.transaction() as rows:
            return read_state(rows)

    def place(self, most: float) -> int:
        """A random position up to this part of the log."""
        with self._storage.snapshot() as rows:
            return random.randint(1, max(1, int(read_head(rows).position * most)))

    def passes(self, place: int, alive: Callable[[], bool]) -> bool:
        """Wait until the rebuild is that far; False when whoever is at it has ended before."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            # Asked first: what has ended since is looked at once more.
            ends = not alive()
            found = self.state()
            if found is not None and found.position >= place:
                return True
            if ends:
                return False
            time.sleep(LOOK_EVERY)
        return False

    def follows(self, killed: State, over: Callable[[], bool], tally: Tally) -> None:
        """Look until it is over; then the table that was begun is live, and nothing was repeated.

        `killed` is where it was broken off.
        """
        resumed, lowest, ends = None, killed.position, False
        until = time.monotonic() + PATIENCE_S
        while not ends and time.monotonic() < until:
            ends = over()
            found = self.state()
            if found is not None:
                lowest = min(lowest, found.position)
                resumed = found if found.resumed_at > killed.resumed_at else resumed
            time.sleep(LOOK_EVERY)
        with self._storage.snapshot() as rows:
            build = read_pointers(rows)[killed.name].build
            (last,) = rows.fetch("SELECT last FROM builds WHERE name = ?", (killed.name,))[0]
        what = f"of {killed.name}, broken off at {killed.position} of build {killed.build}"
        begun = lowest == killed.position and last == build == killed.build
        tally.expect(begun, f"{BEGAN_AGAIN} {what}: {lowest}, builds {build} and {last}")
        tally.expect(
            resumed is not None and resumed.resumed_position == killed.position,
            f"a rebuild did not go on {what}: {resumed}",
        )


@contextmanager
def watching(url: str) -> Iterator[Watch]:
    """Look at a store, beside whoever has it open."""
    storage = storage_of(url)
    try:
        yield Watch(storage)
    finally:
        storage.close()
