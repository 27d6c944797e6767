"""A wire to PostgreSQL that breaks at the worst moment: when COMMIT was sent, and not yet answered.

Besides it can be cut, stand still and be slow, whatever is said over it. It reads as much of the
protocol as it takes to find the COMMIT of a transaction that holds the append lock, by itself or as
a prepared statement: other transactions, of counters, are none of its business. Knows nothing else
of who talks over it. PostgreSQL, «Message Formats».
"""

from __future__ import annotations

import asyncio
import struct
import threading
from contextlib import suppress
from typing import Final, Literal, Self

Break = Literal["unsent", "unanswered", "late"]
"""COMMIT never arrives; it arrives and the answer is lost; it arrives after the caller is gone."""

BREAKS: Final[tuple[Break, ...]] = ("unsent", "unanswered", "late")
LATE_S: Final = 0.2
_TYPED: Final = struct.Struct("!cI")
_LENGTH: Final = struct.Struct("!I")
_READ: Final = 65_536
_LOCK: Final = b"pg_advisory_xact_lock"


class Wire:
    """What one client sent: whole messages, and whether they are the COMMIT of an append."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._begun = False
        self._statements: dict[bytes, bytes] = {}
        self._commit = bytearray()
        self._locked = False

    def feed(self, data: bytes) -> list[tuple[bytes, bool]]:
        """Take in bytes; each whole message, and whether it is a COMMIT that awaits its answer."""
        self._buffer += data
        found = []
        while message := self._next():
            kind, body = message[:1], message[5:]
            if not self._begun:
                self._begun = message[4:6] == b"\x00\x03"  # a startup message of version 3
                found.append((message, False))
            elif self._commit:
                self._commit += message
                if kind == b"S":
                    found.append((bytes(self._commit), True))
                    self._commit.clear()
            elif kind == b"P":
                name, query = body.split(b"\0")[:2]
                self._statements[name] = query
                found.append((message, False))
            else:
                ends = self._ends_append(self._query(kind, body))
                if ends and kind == b"B":
                    self._commit += message
                else:
                    found.append((message, ends))
        return found

    def _query(self, kind: bytes, body: bytes) -> bytes:
        """What a message has the server run; empty when it is of another kind."""
        if kind == b"B":
            return self._statements.get(body.split(b"\0")[1], b"")
        return body if kind == b"Q" else b""

    def _ends_append(self, query: bytes) -> bool:
        self._locked = self._locked or _LOCK in query
        if not self._locked or query.rstrip(b"\0; \n").upper() != b"COMMIT":
            return False
        self._locked = False
        return True

    def _next(self) -> bytes | None:
        size = 4 if not self._begun else 5
        if len(self._buffer) < size:
            return None
        if self._begun:
            length = 1 + _TYPED.unpack_from(self._buffer)[1]
        else:
            length = _LENGTH.unpack_from(self._buffer)[0]
        if len(self._buffer) < length:
            return None
        message = bytes(self._buffer[:length])
        del self._buffer[:length]
        return message


class Proxy:
    """Listens on a port of its own, in a thread of its own, and passes everything on.

    `arm` makes the next COMMIT of an append on any connection the last thing that is heard on it.
    `cut`, `hold` and `slow` are so until `mend`.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._armed: Break | None = None
        self._last = False
        self.breaks = 0
        self.commits = 0
        self.port = 0
        self._delay = 0.0
        self._is_cut = False
        self._ready = threading.Event()
        self._callers: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def arm(self, how: Break, *, last: bool = False) -> None:
        """Break the connection of the next append's COMMIT; if it is the `last`, all others too."""
        self._last = last
        self._armed = how

    def cut(self) -> None:
        """End every connection, and take no new one."""
        self._is_cut = True
        self._loop.call_soon_threadsafe(self._cut)

    def hold(self) -> None:
        """Let nothing through, and keep every connection."""
        self._loop.call_soon_threadsafe(self._passing.clear)

    def slow(self, seconds: float) -> None:
        """Let everything through so much later, in each direction."""
        self._delay = seconds

    def mend(self) -> None:
        """Let everything through at once."""
        self._is_cut, self._delay = False, 0.0
        self._loop.call_soon_threadsafe(self._passing.set)

    def _cut(self) -> None:
        for caller in self._callers:
            caller.cancel()

    def _cut_others(self) -> None:
        """Of a connection whose own end is under way: whoever asks finds none but that."""
        self._is_cut = True
        for caller in self._callers - {asyncio.current_task()}:
            caller.cancel()

    async def _passed(self) -> None:
        """Wait as long as everything has to."""
        if self._delay:
            await asyncio.sleep(self._delay)
        await self._passing.wait()

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._passing = asyncio.Event()
        self._passing.set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        server.close()
        await asyncio.sleep(0)  # whose connection was accepted just now gets his turn, and his end
        while self._callers:
            for caller in self._callers:
                caller.cancel()
            await asyncio.wait(self._callers)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keep the one who called, as the loop itself holds no task fast, until he is through."""
        caller = asyncio.current_task()
        assert caller is not None
        if self._is_cut:
            writer.close()
            return
        self._callers.add(caller)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._carry(reader, writer)
        finally:
            writer.close()
            self._callers.discard(caller)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(*self._target)
        back = asyncio.create_task(self._pump(from_server, writer))
        try:
            how = await self._pass_on(reader, to_server)
            if how is None:
                to_server.close()
                await back
            else:
                await _ended(back)
                await self._break(how, from_server, to_server, writer)
        finally:
            to_server.close()
            await _ended(back)

    async def _pass_on(
        self, reader: asyncio.StreamReader, to_server: asyncio.StreamWriter
    ) -> tuple[Break, bytes] | None:
        """Until the client leaves, or a COMMIT is to be broken: how, and the COMMIT."""
        wire = Wire()
        while data := await reader.read(_READ):
            await self._passed()
            for message, is_commit in wire.feed(data):
                self.commits += is_commit
                if is_commit and self._armed is not None:
                    how, self._armed = self._armed, None
                    if self._last:
                        self._cut_others()
                    self.breaks += 1
                    return how, message
                to_server.write(message)
            await to_server.drain()
        return None

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_READ):
                await self._passed()
                writer.write(data)
                await writer.drain()
            writer.close()

    async def _break(
        self,
        how: tuple[Break, bytes],
        from_server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        to_client: asyncio.StreamWriter,
    ) -> None:
        kind, message = how
        if kind == "late":
            to_client.close()
            await asyncio.sleep(LATE_S)
        if kind != "unsent":
            to_server.write(message)
            await to_server.drain()
            await from_server.read(_READ)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
