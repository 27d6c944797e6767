"""Buckets in a table that all processes of a PostgreSQL store share.

One worker a process: each of its transactions serves every reservation that waits and every hold
that was settled, under locks of their rows, by the database's clock. A row tells nobody which
bucket it is: its key is a keyed hash. Knows no arithmetic: that is `app.buckets`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

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
from domain.errors import GatebookError, InternalError, Overloaded, TooManyAttempts, Unavailable
from projections.storage import Lost, Row

if TYPE_CHECKING:
    from projections.reader_postgres import Reader

HOLD: Final = 30.0
"""Seconds after which a place in flight comes back by itself: its process is gone. No attempt
takes half as long; one that did all the same is counted when it ends."""
POLL: Final = 0.1
"""Seconds between two looks while somebody waits for a place that another process may hold."""
SWEEP_EVERY: Final = 60.0
CLOSE_WITHIN: Final = 2.0

CREATE: Final = """
CREATE TABLE budgets (
  key BYTEA PRIMARY KEY,
  level DOUBLE PRECISION NOT NULL,
  at DOUBLE PRECISION NOT NULL,
  in_flight BIGINT NOT NULL,
  since DOUBLE PRECISION NOT NULL,
  until DOUBLE PRECISION NOT NULL,
  over DOUBLE PRECISION NOT NULL
)"""
"""Seconds since the epoch: `level` as of `at`; `in_flight` counts places taken from `since` on,
none of them held beyond `until`; when `over` is past, the bucket is as new."""
_LOCK: Final = """
INSERT INTO budgets (key, level, at, in_flight, since, until, over)
SELECT key, 0, 0, 0, 0, 0, 0 FROM unnest(CAST(? AS BYTEA[])) AS wanted (key) ORDER BY key
ON CONFLICT (key) DO UPDATE SET at = budgets.at
RETURNING key, level, at, in_flight, since, until,
  CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)"""
"""Lock a row of each key, made where there is none (`at` is 0 then), in the order of the keys, so
that no two transactions wait for each other."""
_WRITE: Final = """
WITH gone AS (DELETE FROM budgets WHERE key = ANY (CAST(? AS BYTEA[])))
UPDATE budgets b SET level = n.level, at = n.at, in_flight = n.in_flight, since = n.since,
  until = n.until, over = n.over
FROM unnest(CAST(? AS BYTEA[]), CAST(? AS DOUBLE PRECISION[]), CAST(? AS DOUBLE PRECISION[]),
  CAST(? AS BIGINT[]), CAST(? AS DOUBLE PRECISION[]), CAST(? AS DOUBLE PRECISION[]),
  CAST(? AS DOUBLE PRECISION[])) AS n (key, level, at, in_flight, since, until, over)
WHERE b.key = n.key"""
FORGET_BUDGETS: Final = """
DELETE FROM budgets WHERE key IN (
  SELECT key FROM budgets WHERE key IN (%s) ORDER BY key FOR UPDATE)"""
"""In the order of the keys too, for a transaction that has locked no other row."""
_END: Final = "END"
"""Not spelled as the log's commits are: whoever looks for those on a wire finds them alone."""
_SWEEP: Final = """
DELETE FROM budgets WHERE key IN (
  SELECT key FROM budgets WHERE over < extract(epoch FROM clock_timestamp())
  LIMIT 10000 FOR UPDATE SKIP LOCKED)"""
"""Waits for nobody, so that its order doesn't matter."""

Answer = Hold | GatebookError | None
"""A place, why there is none, or None: go on waiting."""
Limits = Mapping[bytes, Limit]
Settle = Callable[[Limits, float, End], None]

_logger = structlog.get_logger("gatebook.budgets")


class PostgresKeeper:
    """Buckets that processes share; belongs to the event loop.

    `secret` keys the rows' names; `patience` is how many seconds to wait at most, and `expect`
    hears how many of this process wait before whoever has to. When the connection breaks inside a
    transaction, those who wait hear `Unavailable`; what was said of holds is kept and told again.
    """

    def __init__(
        self,
        url: str,
        secret: bytes,
        expect: Expect = nobody_hurries,
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._url = url
        self._secret = secret
        self._expect = expect
        self._patience = patience
        self._waiting: list[_Waiter] = []
        self._settled: list[_Settled] = []
        self._wanted = asyncio.Event()
        self._closing = False
        self._swept = 0.0
        self._worker = asyncio.create_task(self._work())

    async def reserve(self, claims: Sequence[Claim]) -> Hold:
        """See `Keeper`. Those who wait in one process are served in their order."""
        if not claims:
            return Hold(lambda _: None)
        limits = {self._name(claim): claim.limit for claim in claims}
        waiter = _Waiter(limits, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._wanted.set()
        try:
            async with asyncio.timeout(left(self._patience)):
                return await waiter.served
        except (asyncio.CancelledError, TimeoutError) as stopped:
            waiter.leave()
            if isinstance(stopped, TimeoutError):
                raise (Overloaded if waiter.seen else Unavailable) from None
            raise

    async def close(self) -> None:
        """Tell the database what is left to tell, as far as it listens now."""
        self._closing = True
        self._wanted.set()
        await asyncio.wait({self._worker}, timeout=CLOSE_WITHIN)
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        if self._settled:
            _logger.warning("budgets_not_settled", count=len(self._settled))

    def _name(self, claim: Claim) -> bytes:
        return row_name(self._secret, claim)

    def _settle(self, limits: Limits, taken: float, end: End) -> None:
        self._settled.append(_Settled(limits, taken, end))
        self._wanted.set()

    async def _work(self) -> None:
        from projections.reader_postgres import COUNTING, Reader  # noqa: PLC0415 - an extra

        reader = Reader(self._url, PATIENCE, COUNTING)
        try:
            while not self._closing or self._settled:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL if self._waiting or self._settled else None):
                        await self._wanted.wait()
                self._wanted.clear()
                await self._serve(reader)
        finally:
            await reader.close()

    async def _serve(self, reader: Reader) -> None:
        """One transaction for all that waits; whoever finds no place yet goes on waiting."""
        self._waiting = [waiter for waiter in self._waiting if not waiter.served.done()]
        waiting = tuple(self._waiting)
        settled, self._settled = self._settled, []
        if not waiting and not settled:
            return
        count = _Count(waiting, settled)
        answers: Sequence[Answer]
        try:
            await count.begin(reader)
            answers = count.decide(self._settle, self._expect)
            await count.end(reader)
        except Lost:
            await reader.close()
            self._settled = count.untold() + self._settled
            answers = [Unavailable() for _ in waiting]
        except Exception:
            # A worker that ended would leave every later reservation without an answer.
            _logger.exception("budgets_failed")
            await reader.close()
            self._settled = count.untold() + self._settled
            answers = [InternalError() for _ in waiting]
        for waiter, answer in zip(waiting, answers, strict=True):
            waiter.hear(answer)
        self._waiting = [waiter for waiter in self._waiting if not waiter.served.done()]
        await self._sweep(reader, count.now)

    async def _sweep(self, reader: Reader, now: float) -> None:
        """Remove rows that nobody will ask for again, now and then."""
        if now >= self._swept + SWEEP_EVERY:
            self._swept = now
            with suppress(Lost):
                await reader.fetch(_SWEEP)


def row_name(secret: bytes, claim: Claim) -> bytes:
    """The key of a bucket's row."""
    text = f"{claim.limit.name}\n{claim.key}"
    return hmac.digest(secret, text.encode(), hashlib.sha256)


class _Settled(NamedTuple):
    """What was said of a hold that was given at `taken`."""

    limits: Limits
    taken: float
    end: End


class _Waiter:
    """Someone who wants a place in all of these buckets."""

    __slots__ = ("limits", "seen", "served")

    def __init__(self, limits: Limits, served: asyncio.Future[Hold]) -> None:
        self.limits = limits
        self.served = served
        self.seen = False
        """Whether the buckets were looked at in vain."""

    def hear(self, answer: Answer) -> None:
        """A place for somebody who went away goes back."""
        if answer is None:
            self.seen = True
        elif self.served.done():
            if isinstance(answer, Hold):
                answer.give_back()
        elif isinstance(answer, Hold):
            self.served.set_result(answer)
        else:
            self.served.set_exception(answer)

    def leave(self) -> None:
        """Gone away; a place that was given in the same moment goes back."""
        if not self.served.cancel() and not self.served.cancelled() and not self.served.exception():
            self.served.result().give_back()


class _Row(Bucket):
    """A bucket as a row of the table."""

    __slots__ = ("since", "until")

    def __init__(self, limit: Limit, row: Row, now: float) -> None:
        _, level, at, in_flight, since, until, _ = row
        is_new = not at
        super().__init__(
            limit,
            limit.capacity if is_new else float(level or 0),
            now if is_new else float(at or 0),
            int(in_flight or 0),
        )
        self.since = now if is_new else float(since or 0)
        self.until = float(until or 0)
        self.refill(now)
        if self.in_flight and self.until < now:
            self.settle_all()
            self.since = now

    def end(self, taken: float, end: End) -> None:
        """What became of a place; one that had come back by itself is taken once more for that."""
        if taken < self.since:
            self.take()
        self.settle(end)

    def over(self) -> float:
        """When it will be as new at the latest, if nobody comes."""
        return max(self.until, self.at + self.seconds_to(self.limit.capacity))


class _Count:
    """One transaction: what is there, what follows, and what is left."""

    def __init__(self, waiting: Sequence[_Waiter], settled: list[_Settled]) -> None:
        self._waiting = waiting
        self._settled = settled
        self._limits: dict[bytes, Limit] = {}
        for limits in [each.limits for each in waiting] + [each.limits for each in settled]:
            self._limits.update(limits)
        self._rows: dict[bytes, _Row] = {}
        self._committing = False
        self.now = 0.0

    async def begin(self, reader: Reader) -> None:
        """Lock and read every bucket."""
        await reader.fetch("BEGIN")
        rows = await reader.go_on(_LOCK, (list(self._limits),))
        # A server that took over may have a clock that is behind.
        self.now = max(float(each or 0) for row in rows for each in (row[2], row[-1]))
        for row in rows:
            key = bytes(row[0])  # type: ignore[arg-type]
            self._rows[key] = _Row(self._limits[key], row, self.now)

    def decide(self, settle: Settle, expect: Expect) -> list[Answer]:
        """Settle what was settled; then let in, refuse or leave waiting, in order."""
        queues: Counter[_Row] = Counter()
        for each in self._settled:
            for key in each.limits:
                self._rows[key].end(each.taken, each.end)
        return [self._admit(waiter, settle, expect, queues) for waiter in self._waiting]

    def _admit(
        self, waiter: _Waiter, settle: Settle, expect: Expect, queues: Counter[_Row]
    ) -> Answer:
        limits = waiter.limits
        rows = [self._rows[key] for key in limits]
        try:
            wait_at = admit(rows)
            if wait_at is not None:
                if not waiter.seen:
                    expect(queues[wait_at])
                queues[wait_at] += 1
                return None
        except (TooManyAttempts, Overloaded) as refusal:
            return refusal
        for row in rows:
            row.until = self.now + HOLD
        return Hold(partial(settle, limits, self.now))

    async def end(self, reader: Reader) -> None:
        """Keep what isn't as new, forget the rest."""
        gone = [key for key, row in self._rows.items() if row.is_as_new()]
        kept = {key: row for key, row in self._rows.items() if not row.is_as_new()}
        rows = kept.values()
        columns = (
            [float(row.level) for row in rows],
            [row.at for row in rows],
            [row.in_flight for row in rows],
            [row.since for row in rows],
            [row.until for row in rows],
            [row.over() for row in rows],
        )
        await reader.go_on(_WRITE, (gone, list(kept), *columns))
        self._committing = True
        await reader.go_on(_END)

    def untold(self) -> list[_Settled]:
        """What has to be told again after a failure.

        Once a commit was sent, that is only what was spent: told twice, it gives nobody a place
        too many. A place that was given back comes back by itself.
        """
        if self._committing:
            return [each for each in self._settled if each.end == "spent"]
        return self._settled
