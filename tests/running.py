"""A server as its own process: started on a free port, paused, killed, stopped, its talk kept.

    with running(settings(url)) as server:
        connect("127.0.0.1", server.port)

It is a fork of what has imported everything, or the program itself where that is asked for.
Knows nothing of what a test asks it.
"""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from tests.nursery import Nursery

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MASTER: Final = bytes(range(32))
"""The master key of every server started here."""
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
_OF_TESTS: Final = "GATEBOOK_TEST_"
_ROOT: Final = Path(__file__).parent.parent
_SERVING: Final = re.compile(rb"http://127\.0\.0\.1:([0-9]+)")


def settings(database_url: str, **more: str) -> dict[str, str]:
    """What a server of the tests is told: the cheapest hash, and whatever is given by name."""
    given = {
        "DATABASE_URL": database_url,
        "HOST": "127.0.0.1",
        "PORT": "0",
        "ISSUER": "http://127.0.0.1",
        "MASTER_KEY": base64.b64encode(MASTER).decode(),
        "HASH_MEMORY_KIB": "8",
        "HASH_TIME": "1",
        "REGISTRATIONS_PER_HOUR": "0",
        "LOG_FORMAT": "json",
        "TEST_LEASH": "1",
        **more,
    }
    return {f"GATEBOOK_{name}": value for name, value in given.items()}


class Server:
    """A server process that serves; `settings` are its whole `GATEBOOK_*` environment.

    `preload` is a library that stands between it and the system's. `as_program` is for
    `gatebook serve` itself, from its first import on: without what tests switch on, or their leash.
    """

    def __init__(
        self, given: Mapping[str, str], preload: Path | None = None, *, as_program: bool = False
    ) -> None:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("GATEBOOK_")}
        environ |= given
        self._process = (
            _program(environ, preload)
            if as_program
            else Nursery.of_this_process(preload).bear(environ)
        )
        self.pid = self._process.pid
        self._port: int | None = None
        self._lines: list[bytes] = []
        self._known = threading.Event()
        self._listener = threading.Thread(
            target=self._listen, args=(self._process.stdout,), daemon=True
        )
        self._listener.start()

    @property
    def port(self) -> int:
        """Where it listens; waits until it does, raises RuntimeError when it never will."""
        if not self._known.wait(START_SECONDS) or self._port is None:
            self.kill()
            message = f"the server did not start:\n{self.said.decode(errors='replace')}"
            raise RuntimeError(message)
        return self._port

    @property
    def said(self) -> bytes:
        """Everything that it has written so far, on stdout and stderr; all of it once it ended."""
        return b"".join(self._lines)

    @property
    def serves(self) -> bool:
        """Whether it came to serve; waits until that is known."""
        return self._known.wait(START_SECONDS) and self._port is not None

    def pause(self) -> None:
        """Stop it in its tracks, wherever it is."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Undo `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it without a warning."""
        self._process.kill()
        self._end()

    def stop(self) -> int:
        """Tell it to stop, and wait; its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        return self._end()

    def ended(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        return self._end()

    def _end(self) -> int:
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    def _listen(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._lines.append(line)
            if self._port is None and b"serving" in line and (found := _SERVING.search(line)):
                self._port = int(found[1])
                self._known.set()
        self._known.set()


def _program(environ: Mapping[str, str], preload: Path | None) -> subprocess.Popen[bytes]:
    own = {name: value for name, value in environ.items() if not name.startswith(_OF_TESTS)}
    own |= {"LD_PRELOAD": str(preload)} if preload else {}
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve"],
        cwd=_ROOT,
        env=own,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@contextmanager
def running(
    given: Mapping[str, str], preload: Path | None = None, *, as_program: bool = False
) -> Iterator[Server]:
    """A server that serves, killed at the end whatever became of it."""
    server = Server(given, preload, as_program=as_program)
    try:
        _ = server.port
        yield server
    finally:
        server.kill()


@contextmanager
def running_all(*given: Mapping[str, str]) -> Iterator[list[Server]]:
    """Several servers that serve, started side by side."""
    servers = [Server(each) for each in given]
    try:
        for server in servers:
            _ = server.port
        yield servers
    finally:
        for server in servers:
            server.kill()
