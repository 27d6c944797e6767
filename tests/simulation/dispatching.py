"""The dispatcher of a process of the simulation, whose writer takes its turns on the loop.

Knows no store and no command.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from app.dispatcher import Commit, Dispatcher
from tests.simulation.unsure_file import Crashed

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.dispatcher import Waiting


class Queue(Dispatcher):
    """The dispatcher without its thread.

    `turn` is asked how long until the writer takes a batch, and how long from its commit to its
    answers; `crashed` hears that the process is gone; `at_work` says how long the loop was.
    """

    def __init__(
        self,
        commit: Commit,
        turn: Callable[[], tuple[float, float]],
        crashed: Callable[[], None],
        at_work: Callable[[], float],
    ) -> None:
        super().__init__(commit, at_work=at_work)
        self._turn = turn
        self._crashed = crashed
        self._late = 0.0

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    def _write(self, batch: list[Waiting]) -> None:
        assert self._loop is not None
        before, self._late = self._turn()
        self._loop.call_later(before, self._take, batch)

    def _take(self, batch: list[Waiting]) -> None:
        try:
            self._serve(batch)
        except Crashed:
            self._crashed()

    def _deliver(self, served: int, done: list[Any]) -> None:
        assert self._loop is not None
        self._loop.call_later(self._late, super()._deliver, served, done)
