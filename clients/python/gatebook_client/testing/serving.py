"""The stand-in on a port of this machine, for programs that ask through a network.

Knows how HTTP is spoken, and nothing of what is answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition
from typing import Protocol

from gatebook_client.testing.answering import Reply

STREAM = "/revocations/stream"


class Answering(Protocol):
    """Whatever answers."""

    def answer(self, method: str, path: str, body: bytes) -> Reply:
        """Status, headers and body."""

    def told(self, place: str) -> Iterator[bytes]:
        """The stream of revocations."""


class Line:
    """What a stream without a network comes through; `news` is what the stream waits for.

    In an answer's extensions, in the place of its network stream and the socket of that.
    """

    def __init__(self, news: Condition) -> None:
        self._news = news
        self.is_shut = False

    def get_extra_info(self, name: str) -> Line | None:
        """The socket, as it were."""
        return self if name == "socket" else None

    def shutdown(self, how: int, /) -> None:
        """End the stream."""
        del how
        with self._news:
            self.is_shut = True
            self._news.notify_all()


class Server(ThreadingHTTPServer):
    """Doesn't wait for streams when it ends."""

    daemon_threads = True
    block_on_close = False


def handler(issuer: Answering) -> type[BaseHTTPRequestHandler]:
    """What answers the connections."""

    class Handler(BaseHTTPRequestHandler):
        """Answers what the stand-in does."""

        def do_GET(self) -> None:
            """Keys, or the stream."""
            if self.path.partition("?")[0] != STREAM:
                self._send(*issuer.answer("GET", self.path, b""))
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            try:
                for each in issuer.told(self.headers.get("Last-Event-ID", "")):
                    self.wfile.write(each)
                    self.wfile.flush()
            except OSError:
                self.close_connection = True

        def do_POST(self) -> None:
            """All else."""
            length = int(self.headers.get("Content-Length", 0))
            self._send(*issuer.answer("POST", self.path, self.rfile.read(length)))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
            """Say nothing."""

        def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    return Handler
