"""A stream of server-sent events: how it begins, how it ends, and how an event is spelled.

Knows no event.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final

import msgspec
from litestar.response import ServerSentEventMessage, Stream
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import Receive, Scope, Send

from app.http.observe import asks_for_head

Opening = AbstractAsyncContextManager[AsyncIterator[bytes]]
"""What a stream holds while it lasts, and what it sends."""

_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "connection": "keep-alive",
    "x-accel-buffering": "no",
}


def message(event: str, body: msgspec.Struct, place: str | None = None) -> bytes:
    """An event with a Struct as JSON; `place` is what a reader resumes from."""
    data = msgspec.json.encode(body).decode()
    return ServerSentEventMessage(data=data, event=event, id=place).encode()


class EventStream(Stream):
    """Opened when it is sent, and closed when that is over, whoever ends it and however early.

    What opening raises is the answer, as from a handler. HEAD gets the headers and holds nothing.
    """

    def __init__(self, opening: Opening) -> None:
        super().__init__(())
        self.opening = opening

    def to_asgi_response(self, *_: object, **__: object) -> ASGIStreamingResponse:
        """The stream, still closed."""
        return _Sending(self.opening)


class _Sending(ASGIStreamingResponse):
    __slots__ = ("_opening",)

    def __init__(self, opening: Opening) -> None:
        super().__init__(iterator=(), headers={**_HEADERS})
        self._opening = opening

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._opening as events:
            if not asks_for_head(scope):
                self.iterator = events
                await self.start_response(send)
                await self.send_body(send, receive)
                return
        await self.start_response(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
