"""Group commit: commands that wait together are decided and stored together.

Handlers await `dispatch` on the event loop; one thread gives whatever waited together to
`app.writer`; answers come back to the loop once a batch. Where many come, a batch begins when the
loop has nothing else to do, so that loop and writer seldom want the interpreter at once (ADR 0022).
Knows no rule and no store.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
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

MANY: Final = 8
"""Commands that waited when one of the last batches began, from which on the loop's rest is
waited for."""
LAST: Final = 8
"""Batches that are remembered for that."""
TICK: Final = 0.001
REST: Final = 0.0005
"""Seconds of a tick that the loop is at work at most when it rests."""
RESTING: Final = 2
"""Such ticks in a row until a batch is handed over."""
REST_WITHIN: Final = 0.03
"""Seconds after which it is handed over though the loop didn't rest: it may be busy for ever."""
PAUSE: Final = 0.002
PAUSE_OF_MANY: Final = 0.05
"""Seconds without a command after which the writer tidies up: after few commands, and after many,
who gather for as long as `REST_WITHIN` before the next are handed over."""

Commit = Callable[[Sequence[Wish]], list[Answer]]
Future = asyncio.Future[tuple[Recorded, ...]]
Waiting = tuple[Wish, Future]

_logger = structlog.get_logger("gatebook.dispatcher")


class Dispatcher:
    """The queue before the writer's thread. Everything but `_work` belongs to the event loop.

    `tidy` is called on the writer's thread when nothing has come for a while after a batch.
    `at_work` gives the seconds for which the loop's thread has been at work.
    """

    def __init__(
        self,
        commit: Commit,
        tidy: Callable[[], None] = lambda: None,
        at_work: Callable[[], float] = time.thread_time,
    ) -> None:
        self._commit = commit
        self._tidy = tidy
        self._at_work = at_work
        self._gathered: list[Waiting] = []
        self._sizes: deque[int] = deque(maxlen=LAST)
        self._looking: asyncio.Handle | None = None
        self._writing = False
        self._batches: SimpleQueue[list[Waiting] | None] = SimpleQueue()
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
        if self._looking is not None:
            self._looking.cancel()
        while self._gathered:
            self._batches.put(self._next())
        self._batches.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    async def dispatch(
        self,
        command: Command,
        meta: Meta,
        rows: tuple[Statement, ...] = (),
        *,
        patient: bool = False,
    ) -> tuple[Recorded, ...]:
        """The events that a command led to, once they are durable.

        Raises the refusal of the domain; `Overloaded` when too many wait, `Unavailable` when the
        answer doesn't come in time: it may have been stored. Who is `patient` waits for it, and
        hears by `Unavailable.unsure` whether it may.
        """
        loop = self._loop
        if loop is None or self._draining or self.waiting >= MAX_WAITING:
            raise Overloaded
        wish = Wish(command, meta, rows)
        future: Future = loop.create_future()
        self.waiting += 1
        self._gathered.append((wish, future))
        if len(self._gathered) in {1, MAX_BATCH}:
            self._look()
        timer = None if patient else loop.call_later(left(ANSWER_WITHIN), _give_up, future)
        try:
            return await future
        finally:
            wish.cancelled = True
            if timer is not None:
                timer.cancel()

    def _look(self) -> None:
        """Hand over what waits at the end of this turn of the loop, or once the loop rests."""
        if self._writing or not self._gathered or self._loop is None:
            return
        if self._looking is not None:
            self._looking.cancel()
        until = self._loop.time() + REST_WITHIN
        self._looking = self._loop.call_soon(self._hand_over, until, None, 0)

    def _hand_over(self, until: float, worked: float | None, resting: int) -> None:
        """The next batch to the writer, unless many come and the loop doesn't rest yet.

        It is waited for `until` that time. `worked` is what `at_work` was a tick ago, and `resting`
        at how many ticks it rested.
        """
        assert self._loop is not None  # noqa: S101 - started before anything is gathered
        many = max(self._sizes, default=0) >= MANY and len(self._gathered) < MAX_BATCH
        if many and self._loop.time() < until:
            now = self._at_work()
            resting = 0 if worked is None or now - worked > REST else resting + 1
            if resting < RESTING:
                self._looking = self._loop.call_later(TICK, self._hand_over, until, now, resting)
                return
        self._looking = None
        self._sizes.append(len(self._gathered))
        self._writing = True
        self._write(self._next())

    def _next(self) -> list[Waiting]:
        taken, self._gathered = self._gathered[:MAX_BATCH], self._gathered[MAX_BATCH:]
        return taken

    def _write(self, batch: list[Waiting]) -> None:
        self._batches.put(batch)

    def _work(self) -> None:
        batch = self._batches.get()
        while batch is not None:
            self._serve(batch)
            batch = self._after(batch)

    def _after(self, served: list[Waiting]) -> list[Waiting] | None:
        """The next batch; when none comes soon, the moment is used."""
        try:
            return self._batches.get(timeout=PAUSE if len(served) < MANY else PAUSE_OF_MANY)
        except Empty:
            try:
                self._tidy()
            except Exception:
                # Whatever it was, the thread has to live for the next batch.
                _logger.exception("tidying_failed")
            return self._batches.get()

    def _serve(self, batch: list[Waiting]) -> None:
        """On the writer's thread: commit what somebody still waits for."""
        wanted = [each for each in batch if not each[0].cancelled]
        answers: list[Answer] = []
        if wanted:
            try:
                answers = self._commit([wish for wish, _ in wanted])
            except Exception:
                # Whatever it was, the thread has to live for the next batch.
                _logger.exception("writer_failed")
                answers = [InternalError() for _ in wanted]
        done = list(zip((future for _, future in wanted), answers, strict=True))
        assert self._loop is not None  # noqa: S101 - started before anything is queued
        self._loop.call_soon_threadsafe(self._deliver, len(batch), done)

    def _deliver(self, served: int, done: list[tuple[Future, Answer]]) -> None:
        self.waiting -= served
        self._writing = False
        self._look()
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
