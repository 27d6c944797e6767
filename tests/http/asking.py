"""Asking a server that runs, byte for byte, and reading what it stored meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

JSON: Final = {"Content-Type": "application/json"}
PROBLEM: Final = frozenset({"type", "title", "status", "detail", "code", "request_id"})
WAIT: Final = 20.0


class Answer(NamedTuple):
    """A status, headers by lower-case name (a repeated one joined by `, `), and the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


class Asking(NamedTuple):
    """A server at `port`, whose store is the SQLite file at `path`."""

    port: int
    path: Path

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own, with these headers and `Host` alone."""
        with contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        ) as connection:
            connection.request(method, path, body, headers or {})
            return _read(connection.getresponse())

    def post(self, path: str, members: object) -> Answer:
        """A JSON body, as a good client sends it."""
        return self.ask("POST", path, json.dumps(members).encode(), JSON)

    def send(self, content: bytes) -> Answer:
        """Exactly these bytes, and the first answer to them."""
        with socket.create_connection(("127.0.0.1", self.port), WAIT) as connection:
            connection.sendall(content)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return _read(answer)

    def head(self) -> int:
        """The position of the last event."""
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as store:
            (position,) = store.execute("SELECT max(position) FROM events").fetchone()
            return position

    @contextlib.contextmanager
    def nothing_stored(self) -> Iterator[None]:
        """Whatever is asked in here leaves no event."""
        before = self.head()
        yield
        assert self.head() == before


def _read(answer: http.client.HTTPResponse) -> Answer:
    headers: dict[str, str] = {}
    for name, value in answer.getheaders():
        known = headers.get(name.lower())
        headers[name.lower()] = value if known is None else f"{known}, {value}"
    return Answer(answer.status, headers, answer.read())
