"""Hashing a secret again after a login, when the parameters have changed since it was hashed.

In the background, so that nobody who logs in notices; what fails is tried at the next login.
Knows no HTTP and no budget.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from app.caller import system
from app.passwords import HashPool
from app.registration import Dispatch
from domain.commands import RehashSecret
from domain.errors import GatebookError
from domain.sealed import Clear
from projections.user_directory import CredentialRow

MAX_AT_ONCE: Final = 16
"""Of all secrets that are hashed again at a time: logins come first."""

_logger = structlog.get_logger("gatebook.rehashing")


class Rehashing:
    """Belongs to the event loop."""

    def __init__(self, dispatch: Dispatch, pool: HashPool) -> None:
        self._dispatch = dispatch
        self._pool = pool
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def consider(self, row: CredentialRow, secret_hash: str, secret: str) -> None:
        """Hash a prepared secret again that was right for this row's hash, if need be."""
        if row.user_key in self._tasks or len(self._tasks) >= MAX_AT_ONCE:
            return
        if self._pool.needs_rehash(secret_hash):
            task = asyncio.create_task(self._rehash(row, secret))
            self._tasks[row.user_key] = task
            task.add_done_callback(lambda _: self._tasks.pop(row.user_key))

    async def close(self) -> None:
        """Stop; what isn't done is done after a later login."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _rehash(self, row: CredentialRow, secret: str) -> None:
        try:
            secret_hash = Clear(await self._pool.hash(secret))
            command = RehashSecret(row.user_key, secret_hash, row.secret_hash or b"")
            await self._dispatch(command, system())
        except GatebookError as error:
            _logger.info("not_rehashed", user_key=row.user_key, detail=error.detail)
        except Exception:
            _logger.exception("not_rehashed", user_key=row.user_key)
