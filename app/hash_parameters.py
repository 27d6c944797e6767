"""Which parameters the hashes of a store have: all processes must know, for a refusal costs each.

In a table of its own, since hashes are sealed. A row comes when a process makes or meets a hash
of parameters that aren't there, and stays: whose hashes have them nobody can tell without opening
all. Knows no user and no secret.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from app.argon2id import Parameters
from app.eventstore.schema import RAISE_GENERATION
from domain.errors import Unavailable
from projections.storage import StorageError

if TYPE_CHECKING:
    from app.passwords import HashPool
    from projections.storage import Rows, Storage

CREATE: Final = """
CREATE TABLE hash_parameters (
  memory_kib BIGINT NOT NULL,
  time_cost BIGINT NOT NULL,
  parallelism BIGINT NOT NULL,
  PRIMARY KEY (memory_kib, time_cost, parallelism)
)"""
_ALL: Final = "SELECT memory_kib, time_cost FROM hash_parameters WHERE parallelism = 1"
_ADD: Final = "INSERT INTO hash_parameters (memory_kib, time_cost, parallelism) VALUES (?, ?, 1)"


class HashParameters:
    """Lets a pool and the store know of each other's; belongs to the event loop."""

    def __init__(self, storage: Storage, pool: HashPool) -> None:
        self._storage = storage
        self._pool = pool
        self._generation = 0
        self._stored: frozenset[Parameters] = frozenset()

    async def tend(self, generation: int) -> None:
        """Exchange them when the store's generation has moved, or the pool has met new ones.

        Raises `Unavailable`; what the store knows the pool has learned then, if it could be read.
        """
        if generation == self._generation and self._stored.issuperset(self._pool.in_use):
            return
        try:
            self._stored = await asyncio.to_thread(exchange, self._storage, self._pool)
        except StorageError as error:
            raise Unavailable from error
        self._generation = generation


def exchange(storage: Storage, pool: HashPool) -> frozenset[Parameters]:
    """Tell the pool what the store knows, and the store what it doesn't; all that both know then.

    Adding raises the store's generation, so that other processes look. Takes no lock when there
    is nothing to add.
    """
    with storage.snapshot() as found:
        known = _read(found)
    pool.use(known)
    if known.issuperset(pool.in_use):
        return known
    with storage.transaction() as rows:
        known = _read(rows)
        missing = [each for each in pool.in_use if each not in known]
        for each in missing:
            rows.execute(_ADD, each)
        if missing:
            rows.execute(RAISE_GENERATION)
            rows.commit()
    pool.use(known)
    return known.union(missing)


def _read(rows: Rows) -> frozenset[Parameters]:
    return frozenset(
        Parameters(int(memory_kib or 0), int(time_cost or 0))
        for memory_kib, time_cost in rows.fetch(_ALL)
    )
