"""The queue before the writer: bounded, grouped, drained, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from app import dispatcher as dispatcher_module
from app.dispatcher import LAST, MANY, MAX_BATCH, REST, REST_WITHIN, RESTING, TICK, Dispatcher
from domain.errors import InternalError, InvalidCredentials, Overloaded, Unavailable
from domain.stream import Recorded
from tests.store.wishing import log_in, register, user_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from app.store import Store
    from app.writer import Answer, Wish, Writer


class Gate:
    """A writer's `commit` behind a gate; remembers each batch that it was given."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._open = threading.Event()
        self._entered = threading.Semaphore(0)
        self.batches: list[list[Wish]] = []
        self.fault: Exception | None = None

    def commit(self, batch: Sequence[Wish]) -> list[Answer]:
        self.batches.append(list(batch))
        self._entered.release()
        assert self._open.wait(30)
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        return self._writer.commit(batch)

    async def entered(self) -> None:
        """Until the writer's thread has taken a batch."""
        assert await asyncio.to_thread(self._entered.acquire, timeout=30)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate(writer: Writer) -> Gate:
    return Gate(writer)


@asynccontextmanager
async def running(gate: Gate) -> AsyncIterator[Dispatcher]:
    dispatcher = Dispatcher(gate.commit)
    dispatcher.start()
    try:
        yield dispatcher
    finally:
        gate.open()
        await dispatcher.stop()


Task = asyncio.Task[tuple[Recorded, ...]]


def send(dispatcher: Dispatcher, wish: Wish) -> Task:
    return asyncio.create_task(dispatcher.dispatch(wish.command, wish.meta, wish.rows))


async def settled() -> None:
    """Until every task that was made has begun to wait."""
    for _ in range(3):
        await asyncio.sleep(0)


def streams(store: Store) -> set[object]:
    with store.storage.snapshot() as rows:
        return {row[0] for row in rows.fetch("SELECT stream FROM events WHERE position > 3")}


def test_answers_and_refusals_come_back_to_whoever_asked(store: Store, gate: Gate) -> None:
    async def scenario() -> None:
        gate.open()
        async with running(gate) as dispatcher:
            (event,) = await send(dispatcher, register("ada"))
            assert (event.stream, event.version) == (user_key("ada"), 1)
            with pytest.raises(InvalidCredentials):
                await send(dispatcher, log_in("nobody", "n"))
            assert len(await send(dispatcher, log_in("ada", "a"))) == 2

    asyncio.run(scenario())


def test_commands_that_wait_together_are_stored_together(store: Store, gate: Gate) -> None:
    async def scenario() -> None:
        async with running(gate) as dispatcher:
            first = send(dispatcher, register("first"))
            await gate.entered()
            rest = [send(dispatcher, register(f"u{n}")) for n in range(MAX_BATCH + 6)]
            await settled()
            gate.open()
            await asyncio.gather(first, *rest)
            assert dispatcher.waiting == 0

    asyncio.run(scenario())
    assert [len(each) for each in gate.batches] == [1, MAX_BATCH, 6]
    assert len(streams(store)) == MAX_BATCH + 7


def test_who_asks_in_the_same_turn_of_the_loop_is_stored_together(store: Store, gate: Gate) -> None:
    """Though the writer has nothing else to do, and would take the first alone."""
    never = threading.Event()

    async def ask(dispatcher: Dispatcher, wish: Wish) -> None:
        never.wait(0.01)  # as a handler works, meanwhile the writer's thread does
        await dispatcher.dispatch(wish.command, wish.meta)

    async def scenario() -> None:
        gate.open()
        async with running(gate) as dispatcher:
            await asyncio.gather(*(ask(dispatcher, register(f"u{n}")) for n in range(9)))

    asyncio.run(scenario())
    assert [len(each) for each in gate.batches] == [9]


class Ticks:
    """The loop's clock: a tick is over when it is told, and the loop was at work for so long."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dispatcher: Dispatcher) -> None:
        self._worked = 0.0
        dispatcher._at_work = lambda: self._worked
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[asyncio.Handle, Any, tuple[Any, ...]]] = []
        self._call_later = self._loop.call_later
        monkeypatch.setattr(self._loop, "call_later", self.later)

    def later(self, delay: float, called: Any, *given: Any) -> asyncio.Handle:
        handle = self._call_later(30, called, *given)
        if delay == TICK:
            self._waiting.append((handle, called, given))
        return handle

    def pass_by(self, worked: float = REST) -> bool:
        """Whether somebody had waited for it."""
        self._worked += worked
        waiting, self._waiting = self._waiting, []
        called = [each for each in waiting if not each[0].cancelled()]
        for handle, call, given in called:
            handle.cancel()
            call(*given)
        return bool(called)


def many(dispatcher: Dispatcher, count: int, name: str) -> list[Task]:
    return [send(dispatcher, register(f"{name}{number}")) for number in range(count)]


def test_where_many_come_they_are_stored_when_the_loop_rests(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, as long as few come; and after a while of few it is so again."""

    async def scenario() -> None:
        gate.open()
        async with running(gate) as dispatcher:
            ticks = Ticks(monkeypatch, dispatcher)
            for count in (1, MANY - 1, MANY):
                await asyncio.gather(*many(dispatcher, count, f"some{count}-"))
            assert not ticks.pass_by()
            asked = many(dispatcher, 3, "first")
            await settled()
            for worked in (2 * REST, *[REST] * (RESTING - 1), 2 * REST):
                assert ticks.pass_by(worked)
            asked += many(dispatcher, 3, "second")
            await settled()
            for _ in range(RESTING):
                assert len(gate.batches) == 3
                assert ticks.pass_by()
            await asyncio.gather(*asked)
            assert [len(each) for each in gate.batches] == [1, MANY - 1, MANY, 6]
            for count in range(LAST - 1):
                asked = many(dispatcher, 1, f"few{count}-")
                await settled()
                while ticks.pass_by():
                    pass
                await asyncio.gather(*asked)
            await asyncio.gather(*many(dispatcher, 1, "last"))
            assert not ticks.pass_by()

    asyncio.run(scenario())


def test_a_loop_that_never_rests_keeps_nobody_waiting(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be busy for ever with what writes nothing."""

    async def scenario() -> None:
        gate.open()
        async with running(gate) as dispatcher:
            ticks = Ticks(monkeypatch, dispatcher)
            await asyncio.gather(*many(dispatcher, MANY, "many"))
            loop = asyncio.get_running_loop()
            began = loop.time()
            asked = send(dispatcher, register("one"))
            await settled()
            monkeypatch.setattr(loop, "time", lambda: began + REST_WITHIN / 2)
            assert ticks.pass_by(2 * REST)
            assert ticks.pass_by(2 * REST)
            monkeypatch.setattr(loop, "time", lambda: began + 2 * REST_WITHIN)
            assert ticks.pass_by(2 * REST)
            assert not ticks.pass_by(2 * REST)
            monkeypatch.undo()
            await asked

    asyncio.run(scenario())
    assert [len(each) for each in gate.batches] == [MANY, 1]


def test_a_full_batch_waits_for_nobody(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        gate.open()
        async with running(gate) as dispatcher:
            ticks = Ticks(monkeypatch, dispatcher)
            await asyncio.gather(*many(dispatcher, MANY, "many"))
            asked = many(dispatcher, MAX_BATCH - 1, "most")
            await settled()
            asked += many(dispatcher, 3, "more")
            await asyncio.gather(*asked[:MAX_BATCH])
            while ticks.pass_by():
                pass
            await asyncio.gather(*asked)

    asyncio.run(scenario())
    assert [len(each) for each in gate.batches] == [MANY, MAX_BATCH, 2]


def test_what_waits_for_the_loop_to_rest_is_stored_as_it_stops(
    store: Store, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        gate.open()
        async with running(gate) as dispatcher:
            ticks = Ticks(monkeypatch, dispatcher)
            await asyncio.gather(*many(dispatcher, MANY, "many"))
            last = send(dispatcher, register("last"))
            await settled()
        assert not ticks.pass_by()
        assert len(await last) == 1

    asyncio.run(scenario())
    assert user_key("last") in streams(store)


def test_who_asks_as_it_stops_is_stored(store: Store, gate: Gate) -> None:
    async def scenario() -> None:
        gate.open()
        async with running(gate) as dispatcher:
            last = send(dispatcher, register("last"))
            await asyncio.sleep(0)
        assert len(await last) == 1

    asyncio.run(scenario())
    assert streams(store) == {user_key("last")}


def test_beyond_the_bound_is_overloaded_at_once(
    store: Store, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher_module, "MAX_WAITING", 3)

    async def scenario() -> None:
        async with running(gate) as dispatcher:
            taken = [send(dispatcher, register(f"u{n}")) for n in range(3)]
            await settled()
            with pytest.raises(Overloaded):
                await dispatcher.dispatch(register("late").command, register("late").meta)
            gate.open()
            await asyncio.gather(*taken)
            await send(dispatcher, register("later"))

    asyncio.run(scenario())
    assert streams(store) == {user_key(each) for each in ("u0", "u1", "u2", "later")}


def test_a_cancelled_wish_is_never_stored(store: Store, gate: Gate) -> None:
    async def scenario() -> None:
        async with running(gate) as dispatcher:
            first = send(dispatcher, register("first"))
            await gate.entered()
            gone, stays = send(dispatcher, register("gone")), send(dispatcher, register("stays"))
            await settled()
            gone.cancel()
            await settled()
            gate.open()
            await asyncio.gather(first, stays)
            with pytest.raises(asyncio.CancelledError):
                await gone
            assert dispatcher.waiting == 0

    asyncio.run(scenario())
    assert streams(store) == {user_key("first"), user_key("stays")}


def test_a_queue_of_cancelled_wishes_troubles_nobody(store: Store, gate: Gate) -> None:
    async def scenario() -> None:
        async with running(gate) as dispatcher:
            first = send(dispatcher, register("first"))
            await gate.entered()
            gone = [send(dispatcher, register(f"gone{n}")) for n in range(MAX_BATCH)]
            await settled()
            for each in gone:
                each.cancel()
            last = send(dispatcher, register("last"))
            await settled()
            gate.open()
            await asyncio.gather(first, last)

    asyncio.run(scenario())
    assert [len(each) for each in gate.batches] == [1, 1]
    assert streams(store) == {user_key("first"), user_key("last")}


def test_an_answer_that_is_late_is_unavailable_and_what_nobody_waits_for_is_not_stored(
    store: Store, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Security rule 27."""
    monkeypatch.setattr(dispatcher_module, "ANSWER_WITHIN", 0.01)

    async def scenario() -> None:
        async with running(gate) as dispatcher:
            late = send(dispatcher, register("late"))
            await gate.entered()
            queued = send(dispatcher, register("queued"))
            for each in (late, queued):
                with pytest.raises(Unavailable):
                    await each
            monkeypatch.setattr(dispatcher_module, "ANSWER_WITHIN", 30)
            gate.open()
            await send(dispatcher, register("after"))
            assert dispatcher.waiting == 0

    asyncio.run(scenario())
    assert streams(store) == {user_key("after")}


def test_nobody_is_to_wait_two_seconds_for_an_answer(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Security rule 27: what was asked before the wait, and the answer's way, take time too."""
    waits: list[float] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def noted(delay: float, *more: Any) -> asyncio.TimerHandle:
            waits.append(delay)
            return call_later(delay, *more)

        monkeypatch.setattr(loop, "call_later", noted)
        async with running(gate) as dispatcher:
            gate.open()
            await send(dispatcher, register("ada"))

    asyncio.run(scenario())
    assert len(waits) == 1
    assert waits[0] < 2


def test_stopping_stores_what_waits_and_refuses_what_comes(store: Store, gate: Gate) -> None:
    async def scenario() -> None:
        async with running(gate) as dispatcher:
            first = send(dispatcher, register("first"))
            await gate.entered()
            rest = [send(dispatcher, register(f"u{n}")) for n in range(MAX_BATCH * 2)]
            await settled()
            stopping = asyncio.create_task(dispatcher.stop())
            await settled()
            with pytest.raises(Overloaded):
                await send(dispatcher, register("too late"))
            gate.open()
            await stopping
            answers = await asyncio.gather(first, *rest)
            assert [len(each) for each in answers] == [1] * (MAX_BATCH * 2 + 1)

    asyncio.run(scenario())
    assert len(streams(store)) == MAX_BATCH * 2 + 1


def test_a_fault_of_the_writer_is_answered_and_the_next_batch_is_stored(
    store: Store, gate: Gate
) -> None:
    async def scenario() -> None:
        gate.open()
        gate.fault = ZeroDivisionError()
        async with running(gate) as dispatcher:
            with pytest.raises(InternalError):
                await send(dispatcher, register("unlucky"))
            await send(dispatcher, register("lucky"))

    asyncio.run(scenario())
    assert streams(store) == {user_key("lucky")}


def test_before_it_is_started_it_is_overloaded(gate: Gate) -> None:
    async def scenario() -> None:
        dispatcher = Dispatcher(gate.commit)
        with pytest.raises(Overloaded):
            await send(dispatcher, register("early"))
        await dispatcher.stop()

    asyncio.run(scenario())
