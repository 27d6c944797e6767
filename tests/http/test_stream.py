"""A stream holds what it holds while it lasts, however it ends: the response alone is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.http import standing, stream
from app.http.standing import Standing
from app.http.stream import EventStream, LineStream
from domain.errors import Damage, InvalidToken, TooManyAttempts, Unavailable


class Held:
    """An opening that says whether it is held."""

    def __init__(self, *events: bytes, fault: Exception | None = None) -> None:
        self.held = 0
        self.ended = False
        self._events = events
        self._fault = fault

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[bytes]]:
        if self._fault is not None:
            raise self._fault
        self.held += 1
        try:
            yield self._tell()
        finally:
            self.held -= 1
            self.ended = True

    async def _tell(self) -> AsyncIterator[bytes]:
        for each in self._events:
            yield each
        await asyncio.Event().wait()


async def stay() -> Any:
    await asyncio.Event().wait()


async def leave() -> Any:
    return {"type": "http.disconnect"}


async def answer(
    held: Held,
    scope: Any,
    receive: Any,
    send: Any,
    standing: Standing | None = None,
    kind: type[EventStream] = EventStream,
) -> None:
    response = kind(held.open(), standing).to_asgi_response()
    assert held.held == 0
    try:
        await response(scope, receive, send)
    finally:
        assert held.held == 0


def test_a_client_that_left_before_it_began_leaves_nothing_behind() -> None:
    held = Held(b"one")

    async def send(_: Any) -> None:
        assert held.held == 1

    asyncio.run(answer(held, {}, leave, send))
    assert held.ended


def test_a_client_that_leaves_later_leaves_nothing_behind() -> None:
    held = Held(b"one", b"two")
    sent: list[bytes] = []

    async def ask() -> None:
        left = asyncio.Event()

        async def receive() -> Any:
            await left.wait()
            return await leave()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                sent.append(message["body"])
            if len(sent) == 2:
                left.set()
                await asyncio.Event().wait()  # whoever doesn't read any more

        await answer(held, {}, receive, send)

    asyncio.run(ask())
    assert sent == [b"one", b"two"]
    assert held.ended


def test_what_goes_wrong_when_it_is_sent_leaves_nothing_behind() -> None:
    held = Held(b"one")

    async def send(_: Any) -> None:
        raise OSError

    with pytest.raises(OSError):
        asyncio.run(answer(held, {}, stay, send))
    assert held.ended


def test_a_server_that_stops_waiting_leaves_nothing_behind() -> None:
    held = Held(b"one")

    async def ask() -> None:
        began = asyncio.Event()

        async def send(_: Any) -> None:
            began.set()

        task = asyncio.create_task(answer(held, {}, stay, send))
        await began.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(ask())
    assert held.ended


def test_what_opening_raises_is_raised_before_anything_is_sent() -> None:
    async def send(_: Any) -> None:
        pytest.fail("something was sent")

    with pytest.raises(TooManyAttempts):
        asyncio.run(answer(Held(fault=TooManyAttempts(5)), {}, stay, send))


class Asked:
    """Who may have a stream, until a test says otherwise."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.stopping = asyncio.Event()
        self.asked = asyncio.Event()
        self.standing = Standing(self.ask, self.stopping)

    async def ask(self) -> None:
        self.asked.set()
        if self.fault is not None:
            raise self.fault


class Sent:
    """What was sent; nobody reads any more once `most` pieces were."""

    def __init__(self, most: int = 1000) -> None:
        self.pieces: list[bytes] = []
        self.complete = False
        self._most = most

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            return
        if len(self.pieces) == self._most:
            await asyncio.Event().wait()
        if message["more_body"]:
            self.pieces.append(message["body"])
        else:
            self.complete = True


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "ASK_EVERY", 0.001)
    monkeypatch.setattr(stream, "END_WITHIN", 0.001)


@pytest.mark.parametrize("kind", [EventStream, LineStream])
@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("why", ["it may not", "the service stops"])
def test_it_ends_when_it_may_not_go_on_whether_anybody_reads_or_not(
    kind: type[EventStream], reads: bool, why: str
) -> None:
    """Security rule 16: lines never end as if they were complete."""
    held, asked, sent = Held(b"one", b"two"), Asked(), Sent(1000 if reads else 1)
    if why == "it may not":
        asked.fault = InvalidToken(reason="revoked")
    else:
        asked.stopping.set()
    scope = {"request_id": "0" * 32}
    asyncio.run(answer(held, scope, stay, sent, asked.standing, kind))
    assert held.ended
    assert sent.pieces == [b"one", b"two"][: 2 if reads else 1]
    assert sent.complete == (reads and kind is EventStream)


def test_nothing_is_told_while_nobody_knows_whether_it_may_be() -> None:
    """Security rule 16."""
    asked, sent = Asked(), Sent()
    more = asyncio.Event()

    @asynccontextmanager
    async def opening() -> AsyncIterator[AsyncIterator[bytes]]:
        async def tell() -> AsyncIterator[bytes]:
            yield b"one"
            await more.wait()
            yield b"two"

        yield tell()

    async def ask() -> None:
        asked.fault = Unavailable()
        response = LineStream(opening(), asked.standing).to_asgi_response()
        scope: Any = {"request_id": "0" * 32}
        sending = asyncio.create_task(response(scope, stay, sent))
        await asked.asked.wait()
        more.set()
        for _ in range(3):
            asked.asked.clear()
            await asked.asked.wait()
        assert sent.pieces == [b"one"]
        asked.fault = None
        await sending

    asyncio.run(ask())
    assert (sent.pieces, sent.complete) == ([b"one", b"two"], True)


@pytest.mark.parametrize("kind", [EventStream, LineStream])
def test_what_fails_in_between_is_no_end_of_lines(kind: type[EventStream]) -> None:
    sent = Sent()

    @asynccontextmanager
    async def opening() -> AsyncIterator[AsyncIterator[bytes]]:
        async def tell() -> AsyncIterator[bytes]:
            yield b"one"
            raise Damage("An event can't be read.")

        yield tell()

    scope: Any = {"request_id": "0" * 32}
    asyncio.run(kind(opening()).to_asgi_response()(scope, stay, sent))
    assert (sent.pieces, sent.complete) == ([b"one"], kind is EventStream)
