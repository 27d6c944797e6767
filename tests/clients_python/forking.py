"""A forked process that says whether it did its work; killed when it takes too long.

Knows no client.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from typing import Final

_LONGEST: Final = 60.0
"""Seconds, for what takes well under one: a process that hangs is told from a slow one."""


def forked(work: Callable[[], str]) -> str:
    """What `work` gives in a forked process; what it raises, or that it hung, if it gives nothing.

    Nothing of the forked process is run after that: it has the tests' own stack.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - counted in the other process
        try:
            said = work()
        except BaseException as error:  # noqa: BLE001 - told to the other process
            said = repr(error)
        finally:
            os.write(write, said.encode())
            os._exit(0)
    os.close(write)
    try:
        ready, _, _ = select.select([read], [], [], _LONGEST)
        return os.read(read, 65536).decode() if ready else "it hangs"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
