"""Whether the service can do its work: what `/readyz` and `gatebook doctor` look at.

Knows no HTTP.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from app.eventstore.log import read_head
from app.store import Store
from domain.errors import GatebookError
from domain.policy import SECOND
from projections.registry import POINTERS
from projections.storage import StorageError

if TYPE_CHECKING:
    from app.bootstrap import Service

CLOCK_TOLERANCE: Final = 60 * SECOND
ANSWER_WITHIN: Final = 2.0


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


async def checks(service: Service) -> list[Check]:
    """Look at the store, the keys, the views and the clock, within two seconds."""
    from app.bootstrap import now  # noqa: PLC0415 - it builds what is looked at here

    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            found = await asyncio.to_thread(store_checks, service.store, now())
    except TimeoutError:
        found = [Check("store", ok=False, detail="did not answer in time")]
    if service.stopping.is_set():
        found.append(Check("serving", ok=False, detail="the service is stopping"))
    try:
        kid = service.keys.signer(now()).kid
        return [*found, Check("keys", ok=True, detail=f"{kid} signs")]
    except GatebookError as error:
        return [*found, Check("keys", ok=False, detail=error.detail)]


def store_checks(store: Store, now: int) -> list[Check]:
    """Whether the store can be written, its inline views are at the head, its clock is ours.

    `now` is this machine's time in µs.
    """
    try:
        with store.storage.transaction() as rows:
            head = read_head(rows)
            views = rows.fetch(POINTERS)
            apart = abs(rows.clock() - now)
            rows.execute("UPDATE store SET generation = generation")
            rows.fetch("SELECT 1")
    except (StorageError, GatebookError) as error:
        return [Check("store", ok=False, detail=str(error))]
    behind = [
        f"{name!s} at {position!s}" for name, _, position in views if position != head.position
    ]
    return [
        Check("store", ok=True, detail=f"{store.storage.kind}, writable, head {head.position}"),
        Check("views", ok=not behind, detail=", ".join(behind) or f"all at {head.position}"),
        Check("clock", ok=apart <= CLOCK_TOLERANCE, detail=f"{apart / SECOND:.3f} s apart"),
    ]
