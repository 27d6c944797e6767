"""The orderly end of a command that is told to end: as by Ctrl-C, with nothing left behind.

Knows no command.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Final, NoReturn

_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)


def orderly() -> None:
    """Let SIGTERM and SIGHUP do what Ctrl-C does, unless whoever started us wants them ignored."""
    for each in _SIGNALS:
        if signal.getsignal(each) == signal.SIG_DFL:
            signal.signal(each, _end)


def as_ever() -> None:
    """Undo it, for what handles signals by itself."""
    for each in _SIGNALS:
        if signal.getsignal(each) is _end:
            signal.signal(each, signal.SIG_DFL)


def _end(sig: int, frame: FrameType | None) -> NoReturn:
    """Only once: a terminal that goes may send both, and the end isn't to be broken off."""
    del sig, frame
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt
