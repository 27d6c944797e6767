"""What goes on in a service beside its requests: it looks at the store, and tends what has to be.

So a process that nobody asks hears, too, that keys changed or that a person was erased, and that
the log was replaced: restored, or served by a server that was behind. Then whatever is remembered
may be of events that aren't there any more, though generations have the same numbers. Knows no
rule, and of each part no more than that it has to be tended.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from app.clock import now
from app.eventstore.log import Head, Replaced
from domain.errors import GatebookError

if TYPE_CHECKING:
    from app.bootstrap import Service
    from app.hash_parameters import HashParameters

LOOK_ROUND: Final = 0.5
"""Seconds between two looks."""

_logger = structlog.get_logger("gatebook")


class Upkeep:
    """Of one service, for as long as it runs."""

    def __init__(self, service: Service, hash_parameters: HashParameters) -> None:
        self._service = service
        self._hash_parameters = hash_parameters
        self._seen: Head | None = None

    async def begin(self) -> None:
        """Before the first login; a store that can't be written is no reason not to serve."""
        try:
            await self._hash_parameters.tend(self._service.keys.generation)
        except GatebookError as error:
            _logger.warning("hash_parameters_not_stored", detail=error.detail)

    async def go_on(self) -> None:
        """Look every `LOOK_ROUND`; a fault of the store is met again next time."""
        while True:
            await asyncio.sleep(LOOK_ROUND)
            try:
                await self.look()
            except GatebookError as error:
                _logger.warning("upkeep_failed", detail=error.detail)
            except Exception:
                _logger.exception("upkeep_failed")

    async def look(self) -> None:
        """Once."""
        service, head = self._service, await self._head()
        await service.keys.at(head.generation)
        service.opener.at(head.generation)
        service.following.news(head.position)
        await service.rebuilding.tend()
        await service.key_rotation.tend(service.keys.known, now())
        await service.failed_logins.write()
        await service.erasing.go_on()
        service.metrics.look()
        await self._hash_parameters.tend(head.generation)

    async def _head(self) -> Head:
        """The head of the log. When it is of another history, what is remembered is forgotten."""
        service = self._service
        try:
            head = await service.lookup.head(self._seen)
        except Replaced as error:
            _logger.error("log_replaced", detail=str(error))  # noqa: TRY400 - it says it all
            await service.keys.reload()
            service.opener.forget()
            head = await service.lookup.head()
        self._seen = head
        return head
