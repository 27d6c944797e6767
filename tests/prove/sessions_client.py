"""One of several processes that use and end the sessions of the same users, and note everything.

`python -m tests.prove.sessions_client` reads an `Order`, a line of stdin, writes its history to the
file that the order names, and ends with whoever holds the other end of stdin. What it knows of the
other processes are users and their secrets.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tests.prove.board import Board
from tests.prove.sessions_actor import Actor

if TYPE_CHECKING:
    from tests.prove.checker import Op
    from tests.prove.held import Held

ACTORS: Final = 4


class Order(msgspec.Struct, frozen=True):
    """What a process has to do: so many revocations, among everything else."""

    number: int
    processes: int
    ports: list[int]
    users: list[str]
    admin: str
    """An administrator's access token."""
    board: str
    history: str
    revocations: int
    ends: dict[str, int]
    """By which ways, and how often each."""
    mortal: int = 0
    """The last so many users are erased in the end, each by one process."""


class Process:
    """What one process holds and has noted."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.board = Board(order.board)
        self.history: list[Op] = []
        self.held: dict[int, list[Held]] = defaultdict(list)
        self.revocations = 0
        self.locks = [asyncio.Lock() for _ in order.users]
        self._deck: list[str] = []

    def draw(self) -> str:
        """A way to end something, as often as the order says."""
        if not self._deck:
            self._deck = [way for way, times in self.order.ends.items() for _ in range(times)]
            random.shuffle(self._deck)
        return self._deck.pop()

    async def run(self) -> None:
        """Act until enough was revoked."""
        acting = (Actor(self).act() for _ in range(ACTORS))
        await asyncio.gather(*acting, Actor(self).erase())


async def break_in(process: Process) -> None:
    """Log in as who was disabled since, and by a secret that was replaced since."""
    await Actor(process).break_in(0, 1)


def main() -> None:
    """Do what the order says."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    process = Process(order)
    asyncio.run(process.run())
    Path(order.history).write_bytes(msgspec.msgpack.encode(process.history))


def _end_with_stdin() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
