"""What repeats writes nothing, and a login is one transaction: the store's own counters tell.

On SQLite the commits in the write-ahead log and every page as a reader has it, wherever it lies,
since the log is brought into the file by and by; on PostgreSQL which transactions the rows of this
database were written by.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from tests.prove.client import Client
from tests.prove.load import Ledger, log_in, refresh, register
from tests.prove.tally import Tally
from tests.running import running, settings
from tests.store.intruding import SQLITE

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

PROPERTY: Final = "a steady /refresh writes nothing, what a login stores is one transaction"
SIZE: Final = 1_000
OF: Final = "refreshes"
STEP: Final = 500
SHORT: Final = 50
STORES: Final = ("sqlite", "postgresql")
EVERY: Final = 10
"""Refreshes between two logins."""

_WAL_HEADER: Final = struct.Struct("!8I")
_FRAME_HEADER: Final = struct.Struct("!6I")
_TABLES: Final = """
SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'budgets' ORDER BY 1"""
"""Budgets are counters, written by transactions of their own."""
_WRITERS: Final = "SELECT xmin::text, xmax::text FROM {table}"


def prove(url: str, count: int) -> Tally:
    """Refresh `count` times on a server with nothing else to do, and log in now and then.

    It doesn't follow: what it counts, it counts later, in transactions of their own.
    """
    tally = Tally()
    look = _sqlite if url.startswith(SQLITE) else _postgresql
    with running(settings(url, TEST_NOT_FOLLOWING="1")) as server:
        asyncio.run(_refresh(server.port, url, look, count, tally))
    return tally


async def _refresh(
    port: int,
    url: str,
    look: Callable[[str], tuple[object, set[Hashable]]],
    count: int,
    tally: Tally,
) -> None:
    ledger = Ledger()
    async with Client(port) as client:
        user_key = await register(client, ledger) or ""
        for each in range(count):
            if each % EVERY == 0:
                _, before = look(url)
                token = await log_in(client, ledger, user_key) or ""
                moved, after = look(url)
                tally.expect(
                    len(after - before) == 1,
                    f"/authenticate wrote in {len(after - before)} transactions",
                )
                # The first use of a token is recorded, once.
                tally.expect(await refresh(client, ledger, token), "a new session didn't refresh")
                used, _ = look(url)
                tally.control("a use that is recorded", noticed=used != moved)
            tally.expect(await refresh(client, ledger, token), "a steady session didn't refresh")
            still, _ = look(url)
            tally.expect(still == used, "a steady /refresh changed the store")
            tally.tried += 1


def _sqlite(url: str) -> tuple[object, set[Hashable]]:
    """Every page, with the commits in the log by their place; and those."""
    path = Path(url.removeprefix(SQLITE))
    main, wal = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    _, _, size, _, salt, *_ = _WAL_HEADER.unpack_from(wal)
    pages = {1 + at // size: main[at : at + size] for at in range(0, len(main), size)}
    commits: set[Hashable] = set()
    coming: dict[int, bytes] = {}
    for place, frame, page in _frames(wal, size):
        coming[frame[0]] = page
        if frame[1]:
            pages |= coming
            commits.add((salt, place))
    return (pages, commits), commits


def _frames(wal: bytes, size: int) -> Iterator[tuple[int, tuple[int, ...], bytes]]:
    """Each frame of a write-ahead log: where, its header, its page (SQLite file format, 4.1)."""
    salts = _WAL_HEADER.unpack_from(wal)[4:6]
    for place in range(_WAL_HEADER.size, len(wal) - size, _FRAME_HEADER.size + size):
        frame = _FRAME_HEADER.unpack_from(wal, place)
        if frame[2:4] != salts:
            return
        begins = place + _FRAME_HEADER.size
        yield place, frame, wal[begins : begins + size]


def _postgresql(url: str) -> tuple[object, set[Hashable]]:
    """Which transactions wrote or locked every row of every table."""
    rows: list[tuple[object, ...]] = []
    with psycopg.connect(url, autocommit=True) as connection:
        for (table,) in connection.execute(_TABLES).fetchall():
            found = connection.execute(_WRITERS.format(table=table).encode()).fetchall()
            rows += sorted((table, *each) for each in found)
    return tuple(rows), {row[1] for row in rows}
