"""Whether the service can do its work: what `/readyz` and `gatebook doctor` look at.

Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from app.eventstore.log import read_head
from app.probe import write_probe
from app.store import Store
from app.tokens.key_ring import KeyRing
from domain.errors import GatebookError
from domain.policy import CLOCK_TOLERANCE, SECOND
from projections.live import read_pointers
from projections.registry import PROJECTIONS
from projections.storage import StorageError

ANSWER_WITHIN: Final = 2.0
SHARED_FOR: Final = 1.0
"""Seconds for which what was found of the store is told to others as well: it takes the lock."""


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


class Readiness:
    """Looks at a running service; belongs to its event loop. `clock` gives µs.

    The store is looked at by one thread that does nothing else, once at a time: anybody may ask,
    and nobody who writes should notice.
    """

    def __init__(
        self,
        store: Store,
        keys: KeyRing,
        stopping: asyncio.Event,
        clock: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._keys = keys
        self._stopping = stopping
        self._clock = clock
        self._monotonic = monotonic
        self._thread = ThreadPoolExecutor(1, "gatebook-readiness")
        self._look: asyncio.Future[tuple[list[Check], float]] | None = None
        self._began = 0.0

    async def checks(self) -> list[Check]:
        """Look at the store, the keys, the views and the clock, within two seconds."""
        found = list(await self._of_the_store())
        if self._stopping.is_set():
            found.append(Check("serving", ok=False, detail="the service is stopping"))
        try:
            kid = self._keys.signer(self._clock()).kid
            return [*found, Check("keys", ok=True, detail=f"{kid} signs")]
        except GatebookError as error:
            return [*found, Check("keys", ok=False, detail=error.detail)]

    def close(self) -> None:
        """Look no more; a look that takes long ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _of_the_store(self) -> list[Check]:
        look = self._look
        if look is None or (look.done() and not self._is_fresh(look)):
            self._began = self._monotonic()
            look = asyncio.get_running_loop().run_in_executor(self._thread, self._examine)
            self._look = look
        left = self._began + ANSWER_WITHIN - self._monotonic()
        await asyncio.wait({look}, timeout=max(0.0, left))
        if not look.done():
            return [Check("store", ok=False, detail="did not answer in time")]
        return look.result()[0]

    def _is_fresh(self, look: asyncio.Future[tuple[list[Check], float]]) -> bool:
        if look.cancelled() or look.exception() is not None:
            return False
        return self._monotonic() - look.result()[1] < SHARED_FOR

    def _examine(self) -> tuple[list[Check], float]:
        """What was found, and when that was."""
        found = store_checks(self._store, self._clock())
        return found, self._monotonic()


def store_checks(store: Store, now: int) -> list[Check]:
    """Whether the store can be written, its inline views are at the head, its clock is ours.

    `now` is this machine's time in µs.
    """
    try:
        with store.storage.transaction() as rows:
            head = read_head(rows)
            views = read_pointers(rows)
            apart = abs(rows.clock() - now)
            write_probe(rows, now)
    except (StorageError, GatebookError) as error:
        return [Check("store", ok=False, detail=str(error))]
    inline = {each.name for each in PROJECTIONS if each.mode == "inline"}
    behind = [
        f"{each.name} at {each.position}"
        for each in views.values()
        if each.name in inline and each.position != head.position
    ]
    return [
        Check("store", ok=True, detail=f"{store.storage.kind}, writable, head {head.position}"),
        Check(
            "views", ok=not behind, detail=", ".join(behind) or f"inline views at {head.position}"
        ),
        _clock_check(apart, head.time - now),
    ]


def _clock_check(apart: int, ahead: int) -> Check:
    """By the store's clock, which is ours too on SQLite, and by what the log says of the past."""
    if ahead > CLOCK_TOLERANCE:
        detail = f"the log's last event lies {ahead / SECOND:.0f} s ahead of this clock"
        return Check("clock", ok=False, detail=detail)
    return Check("clock", ok=apart <= CLOCK_TOLERANCE, detail=f"{apart / SECOND:.3f} s apart")
