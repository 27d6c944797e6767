"""How much processor time a process and its children, or all others, have used, by Linux's /proc.

Knows nothing of what they do.
"""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import Final, NamedTuple

_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")
_KERNEL: Final = 2
"""The parent of the kernel's threads: of no parent itself."""
_PR_SET_CHILD_SUBREAPER: Final = 36


class Stat(NamedTuple):
    """What counts here of one process; `ticks` are its own and those of children that ended."""

    parent: int
    ticks: int


def parse(text: str) -> Stat:
    """Read the content of /proc/PID/stat (proc_pid_stat(5)).

    The name, in brackets, may hold spaces and brackets itself; fields 4 (ppid) and 14 to 17
    (utime, stime, cutime, cstime) come after the last bracket.
    """
    fields = text.rpartition(")")[2].split()
    return Stat(int(fields[1]), sum(map(int, fields[11:15])))


def cpu_seconds(pid: int) -> float:
    """Processor seconds of a process, its children, their children, and so on, dead ones too.

    A process that ends adds what it used to its parent's, so the sum never goes back. Raises
    RuntimeError when the process is gone.
    """
    stats = _all()
    if pid not in stats:
        message = f"process {pid} is gone"
        raise RuntimeError(message)
    return ticks(pid, stats) / _TICKS_A_SECOND


def seconds_by_child(pid: int) -> dict[int, float]:
    """Processor seconds of each living child of a process, with all below it."""
    stats = _all()
    children = (each for each, stat in stats.items() if stat.parent == pid)
    return {each: ticks(each, stats) / _TICKS_A_SECOND for each in children}


class Meter:
    """Processor seconds of a process and all below it, from now on."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = cpu_seconds(pid)

    def used(self) -> float:
        """What was used till now; at least one tick, as nothing costs nothing."""
        return max(cpu_seconds(self._pid) - self._before, 1 / _TICKS_A_SECOND)


class Others:
    """Processor time of programs that are neither this process nor below it, from now on.

    The kernel's own threads are nobody's.
    """

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._before = elsewhere(os.getpid(), _all())

    def cores(self) -> float:
        """How much of a core they used till now; more than 1 where it was more than one."""
        # A parent that doesn't wait for its children takes what they used with it.
        used = max(0, elsewhere(os.getpid(), _all()) - self._before) / _TICKS_A_SECOND
        return used / (time.monotonic() - self._since)


def adopt_orphans() -> None:
    """Have what becomes a daemon stay below this process, so that it is counted as ours.

    A database server does, which `pg_ctl` starts (prctl(2), PR_SET_CHILD_SUBREAPER).
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def elsewhere(root: int, stats: dict[int, Stat]) -> int:
    """What all have used but a process with all below it, and the kernel."""
    kernel = ticks(_KERNEL, stats) if _KERNEL in stats and not stats[_KERNEL].parent else 0
    return sum(each.ticks for each in stats.values()) - ticks(root, stats) - kernel


def ticks(root: int, stats: dict[int, Stat]) -> int:
    """What a process and all below it have used."""
    tree = {root}
    while more := {pid for pid, stat in stats.items() if stat.parent in tree} - tree:
        tree |= more
    return sum(stats[pid].ticks for pid in tree)


def _all() -> dict[int, Stat]:
    stats: dict[int, Stat] = {}
    for directory in _PROC.iterdir():
        if directory.name.isdecimal():
            try:
                stats[int(directory.name)] = parse((directory / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
    return stats
