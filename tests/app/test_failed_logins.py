"""Counts of wrong secrets: by user and minute, none lost by the way, nobody held up."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest
from structlog.testing import capture_logs

from app import dispatcher as dispatcher_module
from app import failed_logins as failed_logins_module
from app.dispatcher import MAX_BATCH, Dispatcher
from app.failed_logins import MINUTE, FailedLogins
from domain.errors import Damage, InternalError, Overloaded, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from app.writer import Answer, Wish
    from domain.commands import RecordFailedLogins

Counted = tuple[str, int, int, int]


class Recording:
    """What a writer is asked to record; refuses what it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[Counted]] = []
        self.refused: dict[str, Exception] = {}
        self.away: Exception | None = None
        self.before: Callable[[], object] = lambda: None

    def commit(self, batch: Sequence[Wish]) -> list[Answer]:
        self.before()
        commands = [cast("RecordFailedLogins", wish.command) for wish in batch]
        answers: list[Answer] = [
            self.away or self.refused.get(each.user_key) or () for each in commands
        ]
        self.batches.append(
            [
                (each.user_key, each.count, each.first_at, each.last_at)
                for each, answer in zip(commands, answers, strict=True)
                if answer == ()
            ]
        )
        return answers

    @property
    def recorded(self) -> list[Counted]:
        return [each for batch in self.batches for each in batch]


class Clock:
    def __init__(self) -> None:
        self.now = 10 * MINUTE

    def __call__(self) -> int:
        self.now += 1
        return self.now


@pytest.fixture
def recording() -> Recording:
    return Recording()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def running(recording: Recording, clock: Clock) -> AsyncIterator[FailedLogins]:
    dispatcher = Dispatcher(recording.commit)
    dispatcher.start()
    try:
        yield FailedLogins(dispatcher, clock)
    finally:
        await dispatcher.stop()


def test_counts_are_by_user_and_minute_however_long_the_store_is_away(recording, clock) -> None:
    async def run() -> None:
        async with running(recording, clock) as failed:
            recording.away = Unavailable()
            start = clock.now
            for minute in range(3):
                clock.now = start + minute * MINUTE
                for who in ("ada", "ada", "bob"):
                    failed.count(who)
                await failed.write()
            clock.now = start + 3 * MINUTE
            recording.away = None
            await failed.write()
            assert sorted(recording.recorded) == sorted(
                each
                for at in (start, start + MINUTE, start + 2 * MINUTE)
                for each in (("ada", 2, at + 1, at + 2), ("bob", 1, at + 3, at + 3))
            )
            assert len(failed) == 0

    asyncio.run(run())


def test_the_minute_that_runs_is_not_written_before_the_end(recording, clock) -> None:
    async def run() -> None:
        async with running(recording, clock) as failed:
            failed.count("ada")
            await failed.write()
            assert recording.recorded == []
            await failed.close()
            assert [each[:2] for each in recording.recorded] == [("ada", 1)]

    asyncio.run(run())


def test_many_are_stored_together(recording, clock) -> None:
    async def nothing() -> None:
        pass

    async def run() -> None:
        loop = asyncio.get_running_loop()
        # A batch is stored once the loop has done what it was at.
        recording.before = lambda: asyncio.run_coroutine_threadsafe(nothing(), loop).result(30)
        async with running(recording, clock) as failed:
            for number in range(3 * MAX_BATCH):
                failed.count(f"user {number}")
            await failed.close()

    asyncio.run(run())
    assert len(recording.recorded) == 3 * MAX_BATCH
    # The first of a group may be taken before the others are there.
    assert len(recording.batches) <= 3 * 2


@pytest.mark.parametrize("fault", [Damage("broken"), InternalError(), ValueError("odd")])
def test_who_can_not_be_recorded_is_dropped_and_told_once_and_holds_up_nobody(
    recording, clock, fault: Exception
) -> None:
    async def run() -> None:
        async with running(recording, clock) as failed:
            recording.refused["ada"] = fault
            for who in ("ada", "bob", "eve"):
                failed.count(who)
            clock.now += MINUTE
            with capture_logs() as lines:
                await failed.write()
                await failed.write()
                await failed.close()
            assert [each[0] for each in recording.recorded] == ["bob", "eve"]
            assert [(each["event"], each["user_key"]) for each in lines] == [
                ("failed_logins_not_recorded", "ada")
            ]

    asyncio.run(run())


@pytest.mark.parametrize("fault", [Unavailable(), Overloaded()])
def test_what_is_counted_while_the_store_refuses_is_added(recording, clock, fault) -> None:
    async def run() -> None:
        async with running(recording, clock) as failed:
            loop = asyncio.get_running_loop()
            failed.count("ada")
            first = clock.now
            recording.away = fault

            def meanwhile() -> None:
                clock.now = first + 1
                asyncio.run_coroutine_threadsafe(count_again(), loop).result(30)

            async def count_again() -> None:
                failed.count("ada")

            recording.before = meanwhile
            await failed._record(list(failed._counts))
            recording.away, recording.before = None, lambda: None
            await failed.close()
            assert recording.recorded == [("ada", 2, first, first + 2)]

    asyncio.run(run())


def test_cancelling_a_round_neither_loses_nor_doubles_a_count(recording, clock) -> None:
    async def run() -> None:
        async with running(recording, clock) as failed:
            for number in range(2 * MAX_BATCH):
                failed.count(f"user {number}")
            clock.now += MINUTE
            loop = asyncio.get_running_loop()
            writing = asyncio.create_task(failed.write())

            def cancel() -> None:
                recording.before = lambda: None
                loop.call_soon_threadsafe(writing.cancel)

            recording.before = cancel
            with pytest.raises(asyncio.CancelledError):
                await writing
            await failed.close()

    asyncio.run(run())
    assert sorted(each[0] for each in recording.recorded) == sorted(
        f"user {number}" for number in range(2 * MAX_BATCH)
    )


def test_what_is_stored_later_than_somebody_waits_is_stored_once(
    recording, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Security rule 25: on a disk whose sync takes longer than a request may wait."""
    monkeypatch.setattr(dispatcher_module, "ANSWER_WITHIN", 0.01)
    monkeypatch.setattr(failed_logins_module, "WRITE_WITHIN", 0.01)

    async def run() -> None:
        synced = threading.Event()
        async with running(recording, clock) as failed:
            recording.before = lambda: synced.wait(30)
            failed.count("ada")
            clock.now += MINUTE
            for _ in range(3):
                await failed.write()
            synced.set()
            await failed.close()

    asyncio.run(run())
    assert [each[:2] for each in recording.recorded] == [("ada", 1)]


def test_what_may_be_stored_is_not_tried_again(recording, clock) -> None:
    async def run() -> None:
        async with running(recording, clock) as failed:
            recording.away = Unavailable(unsure=True)
            failed.count("ada")
            clock.now += MINUTE
            with capture_logs() as lines:
                await failed.write()
            recording.away = None
            await failed.close()
            assert [each["event"] for each in lines] == ["failed_logins_not_recorded"]

    asyncio.run(run())
    assert recording.recorded == []


def test_the_end_is_bounded_and_says_what_was_not_recorded(
    recording, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed_logins_module, "CLOSE_WITHIN", 0.01)

    async def run() -> None:
        released = threading.Event()
        async with running(recording, clock) as failed:
            recording.before = lambda: released.wait(30)
            failed.count("ada")
            failed.count("ada")
            failed.count("bob")
            with capture_logs() as lines:
                await failed.close()
            assert not released.is_set()
            assert len(failed) == 2
            (line,) = lines
            assert (line["event"], line["count"], line["users"]) == (
                "failed_logins_not_recorded",
                3,
                2,
            )
            released.set()

    asyncio.run(run())


def test_counts_are_bounded_and_who_is_counted_already_goes_on(
    recording, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed_logins_module, "MAX_COUNTS", 2)

    async def run() -> None:
        async with running(recording, clock) as failed:
            for who in ("ada", "bob", "eve", "ada"):
                failed.count(who)
            await failed.close()

    asyncio.run(run())
    assert sorted(each[:2] for each in recording.recorded) == [("ada", 2), ("bob", 1)]
