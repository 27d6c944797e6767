"""How far long work has come: a line that is written over on a terminal, plain lines elsewhere.

Goes to stderr. Knows no work.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import rich_click as click

ON_TERMINAL: Final = 0.2
ELSEWHERE: Final = 5.0
"""Seconds between two lines; what takes less says nothing."""


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Gives what hears of each part that is done, out of a total."""
    terminal = sys.stderr.isatty()
    every = ON_TERMINAL if terminal else ELSEWHERE
    started = told = time.monotonic()
    done = 0

    def advance(some: int) -> None:
        nonlocal done, told
        done += some
        now = time.monotonic()
        if now - told >= every:
            told = now
            _say(_line(what, done, total, now - started), terminal=terminal)

    try:
        yield advance
    finally:
        if terminal and told != started:
            click.echo("\r\x1b[2K", nl=False, err=True)


def _line(what: str, done: int, total: int, seconds: float) -> str:
    rate = done / seconds
    left = f", {max(0, total - done) / rate:.0f} s left" if rate else ""
    return f"{what}: {done:,} of {total:,}, {rate:,.0f}/s{left}"


def _say(line: str, *, terminal: bool) -> None:
    click.echo(f"\r\x1b[2K{line}" if terminal else line, nl=not terminal, err=True)
