"""What holds when a process that has threads of ours is forked: what a fork waits for, what is new.

The forked process has the one thread that forked, and every lock as it was at that moment: Python's
can be made anew there, those of a library like OpenSSL can't. Knows nothing of what is locked.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

_LONGEST: Final = 2.0
"""Seconds for which a fork waits; whatever goes on then, it comes."""
_LOOK_EVERY: Final = 0.001
_TASKS: Final = Path("/proc/self/task")


class Forked(Protocol):
    """What has locks, threads or connections of its own."""

    def forked(self) -> None:
        """In the forked process, before anything else: those are the other one's."""


_whole = threading.Lock()
_forking: int | None = None
"""The thread that forks, if it holds the lock."""
_ending: set[threading.Thread] = set()
_renewed: weakref.WeakSet[Forked] = weakref.WeakSet()


def renewed(each: Forked) -> None:
    """Have `each.forked()` called in every process that is forked from now on."""
    _renewed.add(each)


@contextmanager
def whole() -> Iterator[None]:
    """No fork comes in between: for what takes locks of OpenSSL's for longer than a moment."""
    with _whole:
        yield


def ends() -> None:
    """The last word of a thread that has used OpenSSL: as it ends, it takes a lock of that."""
    with _whole:
        _ending.difference_update([each for each in _ending if _is_gone(each)])
        _ending.add(threading.current_thread())


def _is_gone(thread: threading.Thread) -> bool:
    """Whether it has ended for the operating system, too, which is later than for Python."""
    return not thread.is_alive() and not (_TASKS / str(thread.native_id)).exists()


def _before() -> None:
    global _forking  # noqa: PLW0603 - one fork at a time
    if _whole.acquire(timeout=_LONGEST):
        _forking = threading.get_ident()
        # Looks are counted, rather than time: a clock may stand still.
        for _ in range(int(_LONGEST / _LOOK_EVERY)):
            if all(_is_gone(each) for each in _ending):
                break
            time.sleep(_LOOK_EVERY)


def _after_in_parent() -> None:
    global _forking  # noqa: PLW0603
    if _forking == threading.get_ident():
        _forking = None
        _whole.release()


def _after_in_child() -> None:
    global _whole, _forking
    _whole, _forking = threading.Lock(), None
    _ending.clear()
    for each in list(_renewed):
        each.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
