"""Token buckets with places: what may be spent, by whom, and who waits for it.

Knows neither addresses nor secrets: `app.throttle` says which buckets an attempt draws on. A
keeper that several processes share needs only the two methods of `Keeper` and `Hold`.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, NamedTuple, Protocol

from domain.errors import Overloaded, TooManyAttempts

_ROUNDING: Final = 1e-9
_CANDIDATES: Final = 64
"""How many of the longest unused buckets are looked at when one must go."""


class Limit(NamedTuple):
    """A kind of bucket: `capacity` at once, and `per_second` more as time goes by."""

    name: str
    capacity: int
    per_second: float


class Claim(NamedTuple):
    """One bucket that an attempt draws on."""

    limit: Limit
    key: str


class Hold(Protocol):
    """A place in each claimed bucket. Only the first call counts; neither blocks."""

    def spend(self) -> None:
        """The place stays taken until time refills it."""

    def give_back(self) -> None:
        """The place is free again."""


class Keeper(Protocol):
    """Whatever holds the buckets."""

    async def reserve(self, claims: Sequence[Claim]) -> Hold:
        """A place in all of them or in none.

        Where a bucket is empty but places in it are in flight, waits for one to come back.
        Raises `TooManyAttempts` when none is in flight, `Overloaded` when the wait is too long.
        """


class MemoryKeeper:
    """Buckets in this process, for one event loop; at most `entries` of each limit.

    A bucket that time has filled again is forgotten, so only sources with recent spendings take
    room. When that isn't enough, the fullest of those unused for longest goes, and the newcomer
    starts with what the evicted one had left, not with a full bucket: by filling the table one
    gains no more than one had, and what a newcomer loses comes back with time. Buckets with
    places in flight stay, whatever `entries` says.

    `clock` returns seconds and never goes back; `patience` is how many seconds to wait at most.
    """

    def __init__(
        self, clock: Callable[[], float], *, entries: int = 16_384, patience: float = 2.0
    ) -> None:
        self._clock = clock
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
        if isinstance(found, _Hold):
            return found
        waiter = _Waiter(claims, found, asyncio.get_running_loop().create_future())
        found.waiters[waiter] = None
        try:
            async with asyncio.timeout(self._patience):
                return await waiter.served
        except (asyncio.CancelledError, TimeoutError) as stopped:
            waiter.leave()
            if isinstance(stopped, TimeoutError):
                raise Overloaded from None
            raise

    def release(self, buckets: Sequence[_Bucket], *, spent: bool) -> None:
        """A place in each is no longer in flight; for holds alone."""
        now = self._clock()
        for bucket in buckets:
            bucket.refill(now)
            bucket.in_flight -= 1
            if not spent:
                bucket.level = min(bucket.limit.capacity, bucket.level + 1)
        for bucket in buckets:
            self._serve(bucket)
        for bucket in buckets:
            if bucket.is_as_new():
                self._table(bucket.limit).pop(bucket.key, None)

    def _admit(self, claims: Sequence[Claim]) -> _Hold | _Bucket:
        """A place in all, or the bucket to wait at."""
        now = self._clock()
        buckets = [self._find(claim, now) for claim in claims]
        empty = [bucket for bucket in buckets if not bucket.has_place()]
        for_how_long = [bucket.seconds_to_place() for bucket in empty if not bucket.in_flight]
        if for_how_long:
            raise TooManyAttempts(max(1, math.ceil(max(for_how_long) - _ROUNDING)))
        if empty:
            return empty[0]
        for bucket in buckets:
            bucket.level -= 1
            bucket.in_flight += 1
            self._keep(bucket, now)
        return _Hold(self, buckets)

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
            if isinstance(found, _Hold):
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
        return _Bucket(claim.limit, claim.key, level, now)

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


class _Bucket:
    """What is left of one limit for one key."""

    __slots__ = ("at", "in_flight", "key", "level", "limit", "waiters")

    def __init__(self, limit: Limit, key: str, level: float, now: float) -> None:
        self.limit = limit
        self.key = key
        self.level = level
        """As of `at`; places in flight are taken off."""
        self.at = now
        self.in_flight = 0
        self.waiters: dict[_Waiter, None] = {}
        """In their order. There are none unless places are in flight."""

    def refill(self, now: float) -> None:
        gained = (now - self.at) * self.limit.per_second
        self.level = min(self.limit.capacity, self.level + gained)
        self.at = now

    def has_place(self) -> bool:
        return self.level >= 1 - _ROUNDING

    def is_as_new(self) -> bool:
        return not self.in_flight and not self.waiters and self.level >= self.limit.capacity

    def seconds_to_place(self) -> float:
        return (1 - self.level) / self.limit.per_second


class _Waiter:
    """Someone who waits at a bucket for a place in all claimed ones."""

    __slots__ = ("bucket", "claims", "served")

    def __init__(
        self, claims: Sequence[Claim], bucket: _Bucket, served: asyncio.Future[_Hold]
    ) -> None:
        self.claims = claims
        self.bucket = bucket
        self.served = served

    def leave(self) -> None:
        """Gone away; a place that was given in the same moment goes back."""
        self.bucket.waiters.pop(self, None)
        if self.served.done() and not self.served.cancelled() and not self.served.exception():
            self.served.result().give_back()


class _Hold:
    """A place in each of some buckets of a `MemoryKeeper`."""

    __slots__ = ("_buckets", "_keeper")

    def __init__(self, keeper: MemoryKeeper, buckets: Sequence[_Bucket]) -> None:
        self._keeper = keeper
        self._buckets = buckets

    def spend(self) -> None:
        self._release(spent=True)

    def give_back(self) -> None:
        self._release(spent=False)

    def _release(self, *, spent: bool) -> None:
        buckets, self._buckets = self._buckets, ()
        self._keeper.release(buckets, spent=spent)
