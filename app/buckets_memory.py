"""Buckets in the memory of the one process that serves a SQLite store.

Knows no arithmetic: that is `app.buckets`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Final

from app.buckets import (
    PATIENCE,
    Bucket,
    Claim,
    End,
    Expect,
    Hold,
    Limit,
    admit,
    nobody_hurries,
)
from app.deadline import left
from domain.errors import Overloaded, TooManyAttempts

_CANDIDATES: Final = 64
"""How many of the longest unused buckets are looked at when one must go."""


class MemoryKeeper:
    """Buckets in this process, for one event loop; at most `entries` of each limit.

    A bucket that time has filled again is forgotten, so only sources with recent spendings take
    room. When that isn't enough, the fullest of those unused for longest goes, and the newcomer
    starts with what the evicted one had left, not with a full bucket: by filling the table one
    gains no more than one had, and what a newcomer loses comes back with time. Buckets with
    places in flight stay, whatever `entries` says.

    `clock` returns seconds and never goes back; `patience` is how many seconds to wait at most,
    and `expect` hears how many wait before whoever has to.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        expect: Expect = nobody_hurries,
        *,
        entries: int = 16_384,
        patience: float = PATIENCE,
    ) -> None:
        self._clock = clock
        self._expect = expect
        self._entries = entries
        self._patience = patience
        self._tables: dict[Limit, OrderedDict[str, _Bucket]] = {}

    def __len__(self) -> int:
        """How many buckets are remembered."""
        return sum(map(len, self._tables.values()))

    async def reserve(self, claims: Sequence[Claim]) -> Hold:
        """See `Keeper`. Those who wait at one bucket are served in their order."""
        for claim in claims:
            bucket = self._table(claim.limit).get(claim.key)
            if bucket is not None and bucket.waiters:
                self._serve(bucket)
        found = self._admit(claims)
        if isinstance(found, Hold):
            return found
        self._expect(len(found.waiters))
        waiter = _Waiter(claims, found, asyncio.get_running_loop().create_future())
        found.waiters[waiter] = None
        try:
            async with asyncio.timeout(left(self._patience)):
                return await waiter.served
        except (asyncio.CancelledError, TimeoutError) as stopped:
            waiter.leave()
            if isinstance(stopped, TimeoutError):
                raise Overloaded from None
            raise

    async def close(self) -> None:
        """Nothing: what isn't asked any more need not be kept."""

    def _settle(self, buckets: Sequence[_Bucket], end: End) -> None:
        """A place in each is no longer in flight."""
        now = self._clock()
        for bucket in buckets:
            bucket.refill(now)
            bucket.settle(end)
        for bucket in buckets:
            self._serve(bucket)
        for bucket in buckets:
            if bucket.is_as_new():
                self._table(bucket.limit).pop(bucket.key, None)

    def _admit(self, claims: Sequence[Claim]) -> Hold | _Bucket:
        """A place in all, or the bucket to wait at."""
        now = self._clock()
        buckets = [self._find(claim, now) for claim in claims]
        wait_at = admit(buckets)
        if wait_at is not None:
            return wait_at
        for bucket in buckets:
            self._keep(bucket, now)
        return Hold(partial(self._settle, buckets))

    def _serve(self, bucket: _Bucket) -> None:
        """Let in, or refuse, those for whom it is decided now; the others go on waiting."""
        bucket.refill(self._clock())
        while bucket.waiters and (bucket.has_place() or not bucket.in_flight):
            waiter = next(iter(bucket.waiters))
            del bucket.waiters[waiter]
            if waiter.served.done():
                continue
            try:
                found = self._admit(waiter.claims)
            except TooManyAttempts as refusal:
                waiter.served.set_exception(refusal)
                continue
            if isinstance(found, Hold):
                waiter.served.set_result(found)
            else:
                waiter.bucket = found
                found.waiters[waiter] = None

    def _table(self, limit: Limit) -> OrderedDict[str, _Bucket]:
        return self._tables.setdefault(limit, OrderedDict())

    def _find(self, claim: Claim, now: float) -> _Bucket:
        """The bucket as of now; a new one enters the table only when a place in it is taken."""
        table = self._table(claim.limit)
        bucket = table.get(claim.key)
        if bucket is not None:
            bucket.refill(now)
            return bucket
        evicted = self._who_must_go(table, now)
        level = claim.limit.capacity if evicted is None else evicted.level
        return _Bucket(claim, level, now)

    def _keep(self, bucket: _Bucket, now: float) -> None:
        table = self._table(bucket.limit)
        if bucket.key not in table:
            evicted = self._who_must_go(table, now)
            if evicted is not None:
                del table[evicted.key]
            table[bucket.key] = bucket
        table.move_to_end(bucket.key)

    def _who_must_go(self, table: OrderedDict[str, _Bucket], now: float) -> _Bucket | None:
        """Forget what is as good as new; None when there is room then."""
        while table:
            oldest = next(iter(table.values()))
            oldest.refill(now)
            if not oldest.is_as_new():
                break
            del table[oldest.key]
        if len(table) < self._entries:
            return None
        idle = (bucket for bucket in table.values() if not bucket.in_flight)
        candidates = list(islice(idle, _CANDIDATES))
        for bucket in candidates:
            bucket.refill(now)
        return max(candidates, key=lambda bucket: bucket.level, default=None)


class _Bucket(Bucket):
    """A bucket at which somebody may wait."""

    __slots__ = ("key", "waiters")

    def __init__(self, claim: Claim, level: float, now: float) -> None:
        super().__init__(claim.limit, level, now)
        self.key = claim.key
        self.waiters: dict[_Waiter, None] = {}
        """In their order. There are none unless places are in flight."""

    def is_as_new(self) -> bool:
        return not self.waiters and super().is_as_new()


class _Waiter:
    """Someone who waits at a bucket for a place in all claimed ones."""

    __slots__ = ("bucket", "claims", "served")

    def __init__(
        self, claims: Sequence[Claim], bucket: _Bucket, served: asyncio.Future[Hold]
    ) -> None:
        self.claims = claims
        self.bucket = bucket
        self.served = served

    def leave(self) -> None:
        """Gone away; a place that was given in the same moment goes back."""
        self.bucket.waiters.pop(self, None)
        if self.served.done() and not self.served.cancelled() and not self.served.exception():
            self.served.result().give_back()
