"""The dispatcher of a process of the simulation, whose writer takes its turns on the loop.

Knows no store and no command.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from app.dispatcher import MAX_BATCH, Commit, Dispatcher
from tests.simulation.unsure_file import Crashed

if TYPE_CHECKING:
    from collections.abc import Callable


class Queue(Dispatcher):
    """The dispatcher without its thread.

    `turn` is asked how long until the writer takes a batch, and how long from its commit to its
    answers; `crashed` hears that the process is gone.
    """

    def __init__(
        self,
        commit: Commit,
        turn: Callable[[], tuple[float, float]],
        crashed: Callable[[], None],
    ) -> None:
        super().__init__(commit)
        self._turn = turn
        self._crashed = crashed
        self._busy_until = 0.0
        self._late = 0.0

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    def _hand_over(self) -> None:
        super()._hand_over()
        assert self._loop is not None
        before, late = self._turn()
        at = max(self._loop.time(), self._busy_until) + before
        self._busy_until = at + late
        self._loop.call_at(at, self._take, late)

    def _take(self, late: float) -> None:
        taken: list[Any] = []
        while not self._queue.empty() and len(taken) < MAX_BATCH:
            taken += self._queue.get_nowait()
        self._late = late
        try:
            for first in range(0, len(taken), MAX_BATCH):
                self._serve(taken[first : first + MAX_BATCH])
        except Crashed:
            self._crashed()

    def _deliver(self, served: int, done: list[Any]) -> None:
        assert self._loop is not None
        self._loop.call_later(self._late, super()._deliver, served, done)
