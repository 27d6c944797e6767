"""How far long work is, on stderr: a bar on a terminal, now and then a line elsewhere.

    with progress("Verifying", total) as advance:
        advance(1_000)

Work that is soon done says nothing elsewhere. Knows no command.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from app.cli import output

EVERY: Final = 5.0
"""Seconds between two lines."""

_MINUTE: Final = 60
_HOUR: Final = 3600

Advance = Callable[[int], None]


@contextmanager
def progress(
    what: str, total: int, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[Advance]:
    """Tell of `total` things to do; what it gives is told of each few that are done.

    `clock` gives seconds, for the lines.
    """
    # Nothing that can't move its cursor gets a bar: it would be a line for each step.
    if sys.stderr is not None and sys.stderr.isatty():
        with _bar(what, total) as advance:
            yield advance
    else:
        yield _Lines(what, total, clock).advance


@contextmanager
def _bar(what: str, total: int) -> Iterator[Advance]:
    from rich.console import Console  # noqa: PLC0415 - only a terminal waits for it
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    # What goes to stdout is data, and stays there.
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as bar:
        task = bar.add_task(output.shown(what), total=total, rate="")

        def advance(count: int) -> None:
            bar.advance(task, count)
            speed = bar.tasks[0].speed
            bar.update(task, rate="" if speed is None else f"{speed:,.0f}/s")

        yield advance


class _Lines:
    """A line when the last one, or the beginning, is long enough ago."""

    def __init__(self, what: str, total: int, clock: Callable[[], float]) -> None:
        self._what = what
        self._total = total
        self._clock = clock
        self._done = 0
        self._begun = self._told = clock()

    def advance(self, count: int) -> None:
        """So many more are done."""
        self._done += count
        now = self._clock()
        if now - self._told < EVERY:
            return
        self._told = now
        rate = self._done / (now - self._begun)
        left = _duration((self._total - self._done) / rate) if rate else "unknown time"
        output.talk(f"{self._what}: {self._done:,} of {self._total:,}, {rate:,.0f}/s, {left} left")


def _duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
