"""How much memory a server's process holds, and whether that stays so while it is asked.

Knows neither what it is asked nor why it may hold more.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.prove.tally import Tally

MIB: Final = 1 << 20
ROOM_MIB: Final = 12.0
"""What an allocator may keep of what it gave back, and caches that have a bound may still fill."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> float:
    """MiB in memory."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * _PAGE / MIB


class Memory:
    """Of one process, from when it is warm to the end of a run."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._warm = resident(pid)

    @property
    def grown(self) -> float:
        """MiB more than when it was warm."""
        return resident(self._pid) - self._warm

    def judge(self, tally: Tally) -> None:
        """It is as much as before."""
        grown = self.grown
        tally.figure("MiB that the server's memory grew by", grown)
        tally.expect(grown < ROOM_MIB, f"the server's memory grew by {grown:.1f} MiB")
