"""A client for load: one connection, one request at a time, nothing more than is needed for that.

A connection that breaks inside a request raises `Cut`: nobody knows what became of it. Knows HTTP
as our own server speaks it, and no other.
"""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE_S: Final = 30.0
USER_AGENT: Final = "gatebook-prove/1"


class Cut(Exception):
    """The connection ended inside a request, which had waited for so many seconds."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(what)
        self.seconds = seconds


class Answer(NamedTuple):
    """What came back; `seconds` from the first byte sent to the last one read."""

    status: int
    body: bytes
    seconds: float
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The problem's code; empty when it is none."""
        return self.json.get("code", "") if self.status >= 400 else ""


def a_source(*, rng: random.Random | None = None) -> str:
    """A loopback address in a network of its own, so that no budget is shared."""
    rng = rng or random.Random()
    return f"127.{rng.randrange(1, 255)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"


class Client:
    """Talks to one server on this machine; `source` is the address that it comes from."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.port = port
        self.source = source
        self.asked_at: float | None = None
        """When the request was begun that waits for its answer, by the loop's clock."""
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; the next request opens another."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with suppress(OSError):
                await streams[1].wait_closed()

    async def post(self, path: str, **members: object) -> Answer:
        """Send a JSON object."""
        return await self.send("POST", path, json.dumps(members).encode())

    async def get(self, path: str, token: str = "") -> Answer:
        """Ask, with an access token when there is one."""
        return await self.call("GET", path, token)

    async def call(
        self, method: str, path: str, token: str = "", *, via: str = "", **members: object
    ) -> Answer:
        """Send a JSON object if there are members, with an access token, for a proxy's client."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"X-Forwarded-For": via} if via else {}
        return await self.send(
            method, path, json.dumps(members).encode() if members else None, headers
        )

    async def form(
        self, path: str, parameters: Mapping[str, str], token: str = "", *, via: str = ""
    ) -> Answer:
        """Send a form, as OAuth clients do."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"X-Forwarded-For": via} if via else {}
        return await self.send("POST", path, urlencode(parameters).encode(), headers)

    async def abandon(self, path: str, **members: object) -> None:
        """Send a JSON object and hang up: nobody hears the answer. Raises `Cut`."""
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(PATIENCE_S):
                _, writer = await self._connected()
                writer.write(self._request("POST", path, json.dumps(members).encode(), {}))
                await writer.drain()
        except (OSError, TimeoutError) as error:
            waited = asyncio.get_running_loop().time() - started
            raise Cut(f"POST {path}: {error!r}", waited) from error
        finally:
            await self.close()

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request and read its answer; raises `Cut`."""
        request = self._request(method, path, body, headers or {})
        started = self.asked_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(PATIENCE_S):
                status, content, told = await self._exchange(request)
        except (OSError, EOFError, TimeoutError) as error:
            waited = asyncio.get_running_loop().time() - started
            await self.close()
            raise Cut(f"{method} {path}: {error!r}", waited) from error
        except BaseException:
            await self.close()
            raise
        finally:
            self.asked_at = None
        return Answer(status, content, asyncio.get_running_loop().time() - started, told)

    @staticmethod
    def _request(method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
        given = {"host": "127.0.0.1", "user-agent": USER_AGENT}
        if body is not None:
            given |= {"content-type": "application/json", "content-length": str(len(body))}
        given |= {name.lower(): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b"")

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                "127.0.0.1", self.port, local_addr=(self.source, 0)
            )
        return self._streams

    async def _exchange(self, request: bytes) -> tuple[int, bytes, dict[str, str]]:
        reader, writer = await self._connected()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rest = head.split("\r\n")
        lines = (line.split(": ", 1) for line in rest if line)
        headers = {name.lower(): value for name, value in lines}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            await self.close()
        return int(first.split(" ", 2)[1]), content, headers
