"""Group commit: commands that wait together are decided and stored together.

Handlers await `dispatch` on the event loop; one thread gives whatever waited together to
`app.writer`; answers come back to the loop once a batch. Loop and writer take turns: while the
writer decides the loop stands still, and runs on while it stores (ADR 0020). Knows no rule and no
store.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Final

import structlog

from app.deadline import left
from app.writer import Answer, Wish
from domain.commands import Command
from domain.errors import InternalError, Overloaded, Unavailable
from domain.stream import Meta, Recorded
from projections.storage import Statement

MAX_BATCH: Final = 64
MAX_WAITING: Final = 2048
ANSWER_WITHIN: Final = 1.8
"""Seconds that a handler waits for its commit: a caller hears of it within two."""

GIVE_WAY: Final = 0.003
"""Seconds that the loop stands still at most, as when the writer waits for the append lock."""

Decided = Callable[[], None]
"""To be called once what is left of a commit is waiting for the store."""
Commit = Callable[[Sequence[Wish], Decided], list[Answer]]
Future = asyncio.Future[tuple[Recorded, ...]]
Waiting = tuple[Wish, Future]

_logger = structlog.get_logger("gatebook.dispatcher")


class _Batch:
    """What is stored together, and whether the writer still decides it."""

    __slots__ = ("_deciding", "_turn", "waiting")

    def __init__(self, waiting: list[Waiting]) -> None:
        self.waiting = waiting
        self._turn = threading.Lock()
        self._turn.acquire()
        self._deciding = True

    def decided(self) -> None:
        """The writer's turn is over; once and again."""
        if self._deciding:
            self._deciding = False
            self._turn.release()

    def give_way(self, seconds: float) -> bool:
        """Stand still until the writer's turn is over, but no longer than that; whether it is."""
        return self._turn.acquire(timeout=seconds)


class Dispatcher:
    """The queue before the writer's thread. Everything but `_work` belongs to the event loop."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._gathered: list[Waiting] = []
        self._writing = False
        self._batches: SimpleQueue[_Batch | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining = False
        self.waiting = 0

    def start(self) -> None:
        """Start the writer's thread; answers go to the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="gatebook-writer", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Refuse new commands, store those that wait, end the thread."""
        self._draining = True
        while self._gathered:
            self._batches.put(self._next())
        self._batches.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    async def dispatch(
        self, command: Command, meta: Meta, rows: tuple[Statement, ...] = ()
    ) -> tuple[Recorded, ...]:
        """The events that a command led to, once they are durable.

        Raises the refusal of the domain; `Overloaded` when too many wait, `Unavailable` when the
        answer doesn't come in time: it may have been stored.
        """
        loop = self._loop
        if loop is None or self._draining or self.waiting >= MAX_WAITING:
            raise Overloaded
        wish = Wish(command, meta, rows)
        future: Future = loop.create_future()
        self.waiting += 1
        if not self._gathered and not self._writing:
            loop.call_soon(self._hand_over)
        self._gathered.append((wish, future))
        timer = loop.call_later(left(ANSWER_WITHIN), _give_up, future)
        try:
            return await future
        finally:
            wish.cancelled = True
            timer.cancel()

    def _hand_over(self) -> None:
        """Once a turn of the loop: who came in the same turn is stored together."""
        if self._gathered and not self._writing:
            self._writing = True
            self._write(self._next())

    def _next(self) -> _Batch:
        taken, self._gathered = self._gathered[:MAX_BATCH], self._gathered[MAX_BATCH:]
        return _Batch(taken)

    def _write(self, batch: _Batch) -> None:
        self._batches.put(batch)
        batch.give_way(GIVE_WAY)

    def _work(self) -> None:
        while (batch := self._batches.get()) is not None:
            self._serve(batch)

    def _serve(self, batch: _Batch) -> None:
        """On the writer's thread: commit what somebody still waits for."""
        wanted = [each for each in batch.waiting if not each[0].cancelled]
        answers: list[Answer] = []
        if wanted:
            try:
                answers = self._commit([wish for wish, _ in wanted], batch.decided)
            except Exception:
                # Whatever it was, the thread has to live for the next batch.
                _logger.exception("writer_failed")
                answers = [InternalError() for _ in wanted]
        batch.decided()
        done = list(zip((future for _, future in wanted), answers, strict=True))
        assert self._loop is not None  # noqa: S101 - started before anything is queued
        self._loop.call_soon_threadsafe(self._deliver, len(batch.waiting), done)

    def _deliver(self, served: int, done: list[tuple[Future, Answer]]) -> None:
        self.waiting -= served
        self._writing = False
        self._hand_over()
        for future, answer in done:
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def _give_up(future: Future) -> None:
    if not future.done():
        future.set_exception(Unavailable())
