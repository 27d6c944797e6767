"""A stream holds what it holds while it lasts, however it ends: the response alone is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.http.stream import EventStream
from domain.errors import TooManyAttempts


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


async def answer(held: Held, scope: Any, receive: Any, send: Any) -> None:
    response = EventStream(held.open()).to_asgi_response()
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
