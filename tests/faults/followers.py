"""Who follows revocations and the log, and resumes as clients do: after the highest place heard.

In a thread with a process's own feeds. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Final, Self

from app.audit import Wanted
from app.clock import now
from app.confirmed import Confirmed
from app.event_feed import EventFeed
from app.log_place import log_place
from app.lookup import lookup_of
from app.reading import Reading
from app.revocation_feed import Revocation, RevocationFeed
from app.store import storage_of
from app.vault import Vault
from domain.errors import TryLater
from tests.running import MASTER
from tests.waiting import until

if TYPE_CHECKING:
    from app.eventstore.log import Head

_AGAIN_AFTER: Final = 0.05
"""Seconds."""


class _Confirmed(Confirmed):
    """Counts how often it was asked for what can't be confirmed."""

    refused = 0

    async def reached(self, head: Head, within: float = 1.8) -> None:
        try:
            await super().reached(head, within)
        except TryLater:
            self.refused += 1
            raise


class Followers:
    """One of each, from a head on; `ends` and `events` are what they heard, by position."""

    def __init__(self, url: str, head: Head) -> None:
        self.ends: dict[int, str | None] = {}
        self.events: dict[int, object] = {}
        self.refused = 0
        self._url = url
        self._head = head
        self._stopping = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._loop.close()

    def look(self) -> None:
        """Wait until both feeds were refused what there is now, or one was told of it."""
        before, heard = self.refused, len(self.ends) + len(self.events)
        until(
            lambda: self.refused >= before + 4 or len(self.ends) + len(self.events) > heard,
        )

    async def _run(self) -> None:
        async with AsyncExitStack() as ending:
            reading, looking, paging = (
                Reading(storage_of(self._url), owned=True) for _ in range(3)
            )
            for each in (reading, looking, paging):
                ending.callback(each.close)
            confirmed = _Confirmed(storage_of(self._url), owned=True)
            ending.push_async_callback(confirmed.close)
            storage = storage_of(self._url)
            ending.callback(storage.close)
            lookup = lookup_of(storage)
            ending.push_async_callback(lookup.close)
            revocations = RevocationFeed(looking, paging, confirmed, self._stopping, now)
            ending.push_async_callback(revocations.close)
            events = EventFeed(reading, Vault(MASTER), lookup.head, confirmed, self._stopping)
            ending.push_async_callback(events.close)
            await asyncio.gather(
                self._follow_ends(revocations), self._follow_events(events), self._count(confirmed)
            )

    async def _count(self, confirmed: _Confirmed) -> None:
        while not self._stopping.is_set():
            self.refused = confirmed.refused
            await asyncio.sleep(_AGAIN_AFTER)

    async def _follow_ends(self, feed: RevocationFeed) -> None:
        reached = self._head.position
        while not self._stopping.is_set():
            with suppress(TryLater):
                place = log_place(self._head.log_id, reached)
                async with feed.following(place) as told:
                    async for each in told:
                        if isinstance(each, Revocation):
                            self.ends[each.position] = each.session_id
                        reached = max(reached, each.position)
            await asyncio.sleep(_AGAIN_AFTER)

    async def _follow_events(self, feed: EventFeed) -> None:
        place = log_place(self._head.log_id, self._head.position)
        while not self._stopping.is_set():
            with suppress(TryLater):
                async with feed.following(Wanted(), place) as told:
                    async for each in told:
                        for item in each.items:
                            self.events[item.position] = item.data.get("session_id")
                        place = each.place
            await asyncio.sleep(_AGAIN_AFTER)
