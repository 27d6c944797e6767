"""How long a request may wait for the store: its waits together, so that a refusal comes in time.

A request is a task, and its waits are those of that task: what it starts beside itself, such as a
stream, has waits of its own. What takes time for good reasons is left out. Knows no store and no
HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar
from weakref import ReferenceType, ref

from domain.errors import Unavailable

T = TypeVar("T")

WITHIN: Final = 1.8
"""Seconds from the start of a request in which its waits end: a caller hears within two."""
LEAST: Final = 0.1
"""Seconds that each wait has all the same: a store that is well answers in a few milliseconds."""


_Begun = tuple["ReferenceType[asyncio.Task[Any]]", float]
"""Which task, and when; held weakly, since a task holds its context, and this is in it."""

_begun: ContextVar[_Begun | None] = ContextVar("begun", default=None)


def begin() -> None:
    """The running task is a request from now on."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task(loop)
    if task is not None:
        _begun.set((ref(task), loop.time()))


def left(most: float) -> float:
    """The seconds that a wait may take: `most`, or what is left of its request."""
    loop = asyncio.get_running_loop()
    begun = _of_this_task(loop)
    if begun is None:
        return most
    return min(most, max(begun[1] + WITHIN - loop.time(), LEAST))


async def in_time(task: asyncio.Task[T], most: float = WITHIN) -> T:
    """What a task gives, or raises, if its request can wait so long (seconds); it goes on anyway.

    Raises `Unavailable` when it takes longer.
    """
    task.add_done_callback(_heard)
    try:
        async with asyncio.timeout(left(most)):
            return await asyncio.shield(task)
    except TimeoutError as error:
        raise Unavailable from error


@contextmanager
def paused() -> Iterator[None]:
    """What is waited for in here isn't the store: its time doesn't count."""
    loop = asyncio.get_running_loop()
    since = loop.time()
    try:
        yield
    finally:
        begun = _of_this_task(loop)
        if begun is not None:
            _begun.set((begun[0], begun[1] + loop.time() - since))


def _of_this_task(loop: asyncio.AbstractEventLoop) -> _Begun | None:
    begun = _begun.get()
    return None if begun is None or begun[0]() is not asyncio.current_task(loop) else begun


def _heard(task: asyncio.Task[Any]) -> None:
    """What became of one that nobody waits for any more; whoever asks next tries again."""
    if not task.cancelled():
        task.exception()
