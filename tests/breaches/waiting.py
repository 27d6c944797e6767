"""Requests that wait for longer than they may, and what is waited for less long."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Final

from app import buckets_memory, buckets_postgres, deadline, dispatcher, lookup, reading, writer
from domain.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Any

    from app.bootstrap import Service
    from app.buckets import Claim, Hold
    from app.dispatcher import Waiting
    from tests.breaches import Breach

_FOR_EVER: Final = 3_600.0
_AGAIN_S: Final = 0.05


def _wait_for_ever(service: Service, value: str) -> None:
    """Whoever waits for the store waits for as long as it takes."""
    del service, value
    for waits in (buckets_memory, buckets_postgres, deadline, dispatcher, lookup, reading):
        vars(waits)["left"] = lambda most: _FOR_EVER


def _try_again(service: Service, value: str) -> None:
    """What can't be stored or counted is tried again until it can be, for whoever waits."""
    commit, reserve = service.dispatcher._commit, buckets_postgres.PostgresKeeper.reserve

    def insist(batch: Sequence[writer.Wish]) -> list[writer.Answer]:
        answers = commit(batch)
        while _unstored(batch, answers):
            time.sleep(_AGAIN_S)
            answers = commit(batch)
        return answers

    async def reserving(self: buckets_postgres.PostgresKeeper, claims: Sequence[Claim]) -> Hold:
        while True:
            try:
                return await reserve(self, claims)
            except Unavailable:
                await asyncio.sleep(_AGAIN_S)

    del value
    service.dispatcher._commit = insist
    buckets_postgres.PostgresKeeper.reserve = reserving  # type: ignore[method-assign]


def _unstored(batch: Sequence[writer.Wish], answers: Sequence[writer.Answer]) -> bool:
    return any(
        isinstance(answer, Unavailable) and not wish.cancelled
        for wish, answer in zip(batch, answers, strict=True)
    )


def _read_after_writes(service: Service, value: str) -> None:
    """Whoever looks something up waits until what is being written is."""
    serve, writing = service.dispatcher._serve, threading.Lock()

    def serving(batch: list[Waiting]) -> None:
        with writing:
            serve(batch)

    def late(look_up: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def looking(*key: object) -> Any:
            await asyncio.to_thread(writing.acquire)
            writing.release()
            return await look_up(*key)

        return looking

    del value
    service.dispatcher._serve = serving  # type: ignore[method-assign]
    for name in ("session", "_one"):
        setattr(service.lookup, name, late(getattr(service.lookup, name)))


def _settle_soon(service: Service, seconds: str) -> None:
    """What became of a commit is asked for so long: no breach."""
    del service
    vars(writer)["SETTLE_WITHIN"] = float(seconds)


BREACHES: Final[Mapping[str, Breach]] = {
    "NO_DEADLINE": _wait_for_ever,
    "TRY_AGAIN": _try_again,
    "READS_WAIT": _read_after_writes,
    "SETTLE": _settle_soon,
}
