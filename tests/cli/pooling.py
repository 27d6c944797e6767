"""A pooler as small as can be: it lends a server's connections for a session, or a transaction.

Knows as much of PostgreSQL's protocol (version 3) as that takes: whole messages, the server's
ReadyForQuery with its transaction status, and a log-in with a password in clear.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

Mode = Literal["session", "transaction", "transaction, in turn"]

_NO_STARTUP: Final = {80877103, 80877104}  # requests for TLS and GSS, refused with N
_GREETING: Final = (
    b"R\0\0\0\x08\0\0\0\0"
    b"S\0\0\0\x19client_encoding\0UTF8\0"
    b"S\0\0\0\x19server_version\0" + b"18.0\0" + b"K\0\0\0\x0c\0\0\0\x01\0\0\0\x01Z\0\0\0\x05I"
).replace(b"S\0\0\0\x19server_version", b"S\0\0\0\x18server_version")


class Pooler:
    """Serves the clients of one listening socket until it is closed."""

    def __init__(self, url: str, mode: Mode) -> None:
        self._parts = urlsplit(url)
        self._mode = mode
        self._idle: deque[socket.socket] = deque()
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        credentials = self._parts.netloc.rpartition("@")[0]
        self.url = urlunsplit(self._parts._replace(netloc=f"{credentials}@127.0.0.1:{port}"))
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self) -> None:
        """Hang up on everybody."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        server: socket.socket | None = None
        with suppress(OSError, EOFError), client:
            while _begin(client) in _NO_STARTUP:
                client.sendall(b"N")
            client.sendall(_GREETING)
            while (message := _message(client))[:1] != b"X":
                server = server or self._borrow()
                server.sendall(message)
                if message[:1] in b"QS" and self._answer(server, client):
                    self._give_back(server)
                    server = None
        if server is not None:
            server.close()

    def _answer(self, server: socket.socket, client: socket.socket) -> bool:
        """Pass an answer on; whether the connection may be lent to the next now."""
        while True:
            message = _message(server)
            client.sendall(message)
            if message[:1] == b"Z":
                return message[-1:] == b"I" and self._mode != "session"

    def _borrow(self) -> socket.socket:
        with self._lock:
            if self._idle:
                return self._idle.popleft() if "turn" in self._mode else self._idle.pop()
        return self._connect()

    def _give_back(self, server: socket.socket) -> None:
        with self._lock:
            self._idle.append(server)

    def _connect(self) -> socket.socket:
        parts = self._parts
        server = socket.create_connection((parts.hostname, parts.port))
        self._open.append(server)
        names = f"user\0{parts.username}\0database\0{parts.path[1:]}\0\0".encode()
        server.sendall(struct.pack("!II", len(names) + 8, 196608) + names)
        while (message := _message(server))[:1] != b"Z":
            if message[:1] == b"R" and message[5:9] == b"\0\0\0\3":
                password = f"{parts.password}\0".encode()
                server.sendall(b"p" + struct.pack("!I", len(password) + 4) + password)
        return server


@contextmanager
def pooled(url: str, mode: Mode, *, ready: int = 0) -> Iterator[str]:
    """The URL of a pooler before a server, with so many connections made beforehand."""
    pooler = Pooler(url, mode)
    for _ in range(ready):
        pooler._give_back(pooler._connect())
    yield pooler.url
    pooler.close()


def _begin(client: socket.socket) -> int:
    (length,) = struct.unpack("!I", _exactly(client, 4))
    code: int = struct.unpack("!I", _exactly(client, length - 4)[:4])[0]
    return code


def _message(source: socket.socket) -> bytes:
    head = _exactly(source, 5)
    return head + _exactly(source, struct.unpack("!I", head[1:])[0] - 4)


def _exactly(source: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = source.recv(count - len(found))
        if not more:
            raise EOFError
        found += more
    return found
