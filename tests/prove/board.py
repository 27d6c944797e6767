"""What processes that use the same users tell each other: which secret each user has.

Knows no session.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Final

_PAIR: Final = struct.Struct("<II")


class Board:
    """A file that all processes see: of each user the secret's number, and the one to come."""

    def __init__(self, path: str) -> None:
        with Path(path).open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    @staticmethod
    def make(path: Path, users: int) -> None:
        """One on which every user has secret number 0."""
        path.write_bytes(bytes(_PAIR.size * users))

    def read(self, user: int) -> tuple[int, int]:
        """The number now, and the one that is being set, the same when none is."""
        now, coming = _PAIR.unpack_from(self._map, user * _PAIR.size)
        return now, coming

    def write(self, user: int, now: int, coming: int) -> None:
        """Only by the one process that changes this user's secret."""
        _PAIR.pack_into(self._map, user * _PAIR.size, now, coming)


def secret(number: int) -> str:
    """A user's secret of that number."""
    return f"a horse that eats marmalade number {number}"
