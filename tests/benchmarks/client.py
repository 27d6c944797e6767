"""Load from Python, for machines without wrk: sockets on uvloop, and no more HTTP than is needed.

It takes a core of its own as the servers do, so that on one or two cores the figures are lower
than wrk's. Knows nothing of the service.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import uvloop

from tests.benchmarks.load import Generator, LoadError, Tally

if TYPE_CHECKING:
    from tests.benchmarks.load import Target

_PATIENCE_S: Final = 30.0
_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_OK: Final = re.compile(rb"HTTP/1\.1 2[0-9][0-9] ")


class Run:
    """What the connections of one run share."""

    def __init__(self, target: Target, ended: asyncio.Future[None]) -> None:
        self._target = target
        self._waiting = deque(target.bodies or (b"",) * len(target.bearers))
        self._bearers = deque(target.bearers)
        self.answered = 0
        self.ended = ended

    def next(self) -> bytes:
        """The next request."""
        body = self._waiting.popleft()
        if self._target.renewed is None:
            self._waiting.append(body)
        self._bearers.rotate(-1)
        return _request(self._target, body, self._bearers[-1] if self._bearers else None)

    def answer(self, content: bytes) -> None:
        """Take the body of an answer into account."""
        self.answered += 1
        if (renewed := self._target.renewed) is not None:
            form = json.loads(self._target.bodies[0])
            form[renewed] = json.loads(content)[renewed]
            self._waiting.append(json.dumps(form, separators=(",", ":")).encode())

    def fail(self, why: str) -> None:
        """End the run; it doesn't count."""
        if not self.ended.done():
            self.ended.set_exception(LoadError(why))


class Connection(asyncio.Protocol):
    """One connection: the next request goes out when an answer is whole."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = transport  # type: ignore[assignment]
        self._send()

    def data_received(self, data: bytes) -> None:
        """Count an answer that is whole, and send the next request."""
        self._buffer += data
        try:
            size = answer_size(self._buffer)
        except LoadError as error:
            self._run.fail(str(error))
            return
        if size is None or len(self._buffer) < size or self._run.ended.done():
            return
        if not _OK.match(self._buffer):
            self._run.fail(f"an answer was not 2xx: {self._buffer[:size]!r}")
            return
        if len(self._buffer) > size:
            self._run.fail(f"more came than one answer: {self._buffer[size:]!r}")
            return
        content, self._buffer = self._buffer.partition(_END)[2], b""
        self._run.answer(content)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the run, unless it is over."""
        self._run.fail(f"a connection broke: {exc or 'closed by the server'}")

    def close(self) -> None:
        """End it, whatever is still to come."""
        if self._transport is not None:
            self._transport.abort()

    def _send(self) -> None:
        if self._transport is not None:
            self._transport.write(self._run.next())


def answer_size(received: bytes) -> int | None:
    """How many bytes the answer at the beginning has; None: its header isn't whole yet.

    Raises LoadError when the header doesn't tell.
    """
    end = received.find(_END)
    if end < 0:
        return None
    length = _LENGTH.search(received, 0, end + len(_END))
    if length is None:
        raise LoadError(f"an answer has no length: {received[:end]!r}")
    return end + len(_END) + int(length[1])


def run(target: Target, seconds: float) -> Tally:
    """Load a target, longer when nothing is answered so soon; raises `LoadError`."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_load(target, seconds))


GENERATOR: Final = Generator("a client in Python", run)


async def _load(target: Target, seconds: float) -> Tally:
    loop = asyncio.get_running_loop()
    run = Run(target, loop.create_future())
    connections: list[Connection] = []

    def connect() -> Connection:
        connections.append(Connection(run))
        return connections[-1]

    def end() -> None:
        if not run.ended.done():
            run.ended.set_result(None)

    def end_in_time() -> None:
        if run.answered or time.perf_counter() - started > _PATIENCE_S:
            end()
        else:
            loop.call_later(seconds, end_in_time)

    started = time.perf_counter()
    loop.call_later(seconds, end_in_time)
    try:
        for _ in range(target.connections):
            await loop.create_connection(connect, "127.0.0.1", target.port)
        await run.ended
        elapsed = time.perf_counter() - started
    except OSError as error:
        raise LoadError(f"a connection could not be made: {error}") from error
    finally:
        end()
        for connection in connections:
            connection.close()
    if not run.answered:
        raise LoadError("nothing was answered")
    return Tally(run.answered, elapsed)


def _request(target: Target, body: bytes, bearer: str | None) -> bytes:
    lines = [
        f"{'POST' if target.bodies else 'GET'} {target.path} HTTP/1.1",
        f"Host: 127.0.0.1:{target.port}",
    ]
    if target.bodies:
        lines += [f"Content-Type: {target.media_type}", f"Content-Length: {len(body)}"]
    if bearer is not None:
        lines.append(f"Authorization: Bearer {bearer}")
    return "\r\n".join((*lines, "", "")).encode() + body
