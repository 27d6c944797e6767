"""A stream: how it begins, how it ends, and how an event is spelled.

Knows no event.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final

import msgspec
import structlog
from litestar.response import ServerSentEventMessage, Stream
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import Receive, Scope, Send

from app.http.observe import asks_for_head
from app.http.standing import Standing
from app.json_lines import json_line
from domain.errors import GatebookError

Opening = AbstractAsyncContextManager[AsyncIterator[bytes]]
"""What a stream holds while it lasts, and what it sends."""

LINES: Final = "application/x-ndjson"
END_WITHIN: Final = 1.0
"""Seconds that a reader gets to hear of the end."""

_OF_EVENTS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "connection": "keep-alive",
    "x-accel-buffering": "no",
}
_OF_LINES: Final = {"content-type": LINES, "vary": "Accept", "x-accel-buffering": "no"}

_logger = structlog.get_logger("gatebook.http")


def message(event: str, body: msgspec.Struct, place: str | None = None) -> bytes:
    """An event with a Struct as JSON; `place` is what a reader resumes from."""
    return ServerSentEventMessage(data=json_line(body), event=event, id=place).encode()


class EventStream(Stream):
    """Opened when it is sent, and closed when that is over, whoever ends it and however early.

    What opening raises is the answer, as from a handler. HEAD gets the headers and holds nothing.
    With a `standing` it lasts as long as that.
    """

    def __init__(self, opening: Opening, standing: Standing | None = None) -> None:
        super().__init__(())
        self.opening = opening
        self.standing = standing

    def to_asgi_response(self, *_: object, **__: object) -> ASGIStreamingResponse:
        """The stream, still closed."""
        return _Sending(self.opening, self.standing, _OF_EVENTS, ends=True)


class LineStream(EventStream):
    """The same for JSON, one object a line; it has an end, which only a whole one comes to.

    What ends early is cut off, so that a reader can tell (RFC 9112 §8).
    """

    def to_asgi_response(self, *_: object, **__: object) -> ASGIStreamingResponse:
        """The stream, still closed."""
        return _Sending(self.opening, self.standing, _OF_LINES, ends=False)


class _Sending(ASGIStreamingResponse):
    """`ends`: whether it ends well whenever it does."""

    __slots__ = ("_ends", "_opening", "_standing")

    def __init__(
        self, opening: Opening, standing: Standing | None, headers: dict[str, str], *, ends: bool
    ) -> None:
        super().__init__(iterator=(), headers={**headers})
        self._opening = opening
        self._standing = standing
        self._ends = ends

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        noted: Any = scope
        async with self._opening as pieces:
            await self.start_response(send)
            if asks_for_head(scope):
                await _end(send)
                return
            over = await self._sent(pieces, receive, send)
        if not over and self._ends:
            # Whoever doesn't read can't hear of it either.
            with suppress(TimeoutError):
                async with asyncio.timeout(END_WITHIN):
                    await _end(send)
        elif not over:
            _logger.warning("stream_cut_off", request_id=noted["request_id"])

    async def _sent(self, pieces: AsyncIterator[bytes], receive: Receive, send: Send) -> bool:
        """Send it while the client is there and may have it; whether it came to its end, or left.

        A failure that has a name is one of the reasons why it doesn't.
        """
        tasks = [asyncio.create_task(self._pass_on(pieces, send))]
        tasks.append(asyncio.create_task(_gone(receive)))
        if self._standing is not None:
            tasks.append(asyncio.create_task(_lost(self._standing)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        results = [task.result() for task in tasks if not task.cancelled()]
        return any(results)

    async def _pass_on(self, pieces: AsyncIterator[bytes], send: Send) -> bool:
        try:
            async for piece in pieces:
                if self._standing is not None:
                    await self._standing.sure()
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except GatebookError as error:
            _logger.warning("stream_failed", code=error.code, detail=error.detail)
            return False
        await _end(send)
        return True


async def _gone(receive: Receive) -> bool:
    while (await receive())["type"] != "http.disconnect":
        pass
    return True


async def _lost(standing: Standing) -> bool:
    await standing.lost()
    return False


async def _end(send: Send) -> None:
    await send({"type": "http.response.body", "body": b"", "more_body": False})
