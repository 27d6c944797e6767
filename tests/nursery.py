"""Where servers of the tests are born: a process that has imported everything, and forks.

A server that starts so is a process of its own like any other, with its own settings and pipes, in
a tenth of the time: importing and building the routes is done once. `Born` is used like a
`subprocess.Popen`. Whoever asks has one nursery, which ends with it, and another one for each
library that servers are to be loaded with.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ROOT: Final = Path(__file__).parent.parent
_MOST: Final = 1 << 20
_WARM: Final = {
    "DATABASE_URL": "sqlite:///nowhere.db",
    "ISSUER": "http://127.0.0.1",
    "MASTER_KEY": "A" * 43 + "=",
}


class Born:
    """A server process: its pid, its pipes, and how it ended."""

    def __init__(self, pid: int, status: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self._status = status
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, below 0 for a signal; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended; raises `TimeoutExpired`."""
        if self._code is None:
            readable, _, _ = select.select([self._status], [], [], timeout)
            if not readable:
                raise subprocess.TimeoutExpired("tests.server", timeout or 0.0)
            said = os.read(self._status, 16)
            os.close(self._status)
            # Nothing is said when the nursery itself was killed.
            self._code = int(said) if said else -signal.SIGKILL
        return self._code

    def kill(self) -> None:
        """End it without a warning."""
        self._send(signal.SIGKILL)

    def terminate(self) -> None:
        """Tell it to stop."""
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Nursery:
    """Starts servers for this process, from any of its threads."""

    _all: Final[dict[Path | None, Nursery]] = {}
    _lock = threading.Lock()

    def __init__(self, preload: Path | None = None) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environ = {k: v for k, v in os.environ.items() if not k.startswith("GATEBOOK_")}
        environ |= {"LD_PRELOAD": str(preload)} if preload else {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.nursery", str(theirs.fileno())],
            cwd=_ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._pid = os.getpid()

    @classmethod
    def of_this_process(cls, preload: Path | None = None) -> Nursery:
        """The one that there is, or a new one; `preload` is a library for all its servers."""
        with cls._lock:
            found = cls._all.get(preload)
            if found is None or not found.is_ours:
                found = cls._all[preload] = cls(preload)
                atexit.register(found.close)
            return found

    @property
    def is_ours(self) -> bool:
        """Whether it is there, and wasn't begun before this process was forked."""
        return self._pid == os.getpid() and self._process.poll() is None

    def bear(self, environ: Mapping[str, str]) -> Born:
        """A server with this environment, whose stdout and stderr are one pipe."""
        stdin, give = os.pipe()
        take, stdout = os.pipe()
        status, ended = os.pipe()
        with self._lock:
            socket.send_fds(
                self._ours, [json.dumps(dict(environ)).encode()], [stdin, stdout, ended]
            )
            said = self._ours.recv(16)
        for descriptor in (stdin, stdout, ended):
            os.close(descriptor)
        if not said:
            raise RuntimeError("the nursery has ended")
        return Born(int(said), status, os.fdopen(give, "wb", 0), os.fdopen(take, "rb"))

    def close(self) -> None:
        """End the nursery; its servers have their own leashes."""
        self._ours.close()
        self._process.wait()


def main(descriptor: int) -> None:
    """Bear whom one is asked for, and tell how each ended, until nobody can ask any more."""
    from app.application import application  # noqa: PLC0415 - what is done once, for all
    from app.settings import load  # noqa: PLC0415
    from tests import server  # noqa: PLC0415

    application(load({f"GATEBOOK_{name}": value for name, value in _WARM.items()}).settings)
    # Whoever is born looks through what is its own, and copies none of this for it.
    gc.collect()
    gc.freeze()
    asked = socket.socket(fileno=descriptor)
    waking, wakes = os.pipe()
    for end in (waking, wakes):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Whoever interrupts the tests means the tests, which end the nursery.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    alive: dict[int, int] = {}
    while True:
        readable, _, _ = select.select([descriptor, waking], [], [])
        if waking in readable:
            os.read(waking, 4096)
            _tell_ended(alive)
        if descriptor in readable:
            content, given, _, _ = socket.recv_fds(asked, _MOST, 3)
            if not content:
                return
            stdin, stdout, ended = given
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                asked.close()
                for other in (waking, wakes, ended, *alive.values()):
                    os.close(other)
                _be(server.main, json.loads(content), stdin, stdout)
            alive[pid] = ended
            os.close(stdin)
            os.close(stdout)
            asked.send(str(pid).encode())


def _tell_ended(alive: dict[int, int]) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            ended = alive.pop(pid)
            with suppress(BrokenPipeError):
                os.write(ended, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(ended)


def _be(serve: Callable[[], int], environ: Mapping[str, str], stdin: int, stdout: int) -> NoReturn:
    """In the fork: a server, as if it had been started by itself."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(stdin, 0)
    for standard in (1, 2):
        os.dup2(stdout, standard)
    os.close(stdin)
    os.close(stdout)
    # What the nursery's were (a file, a terminal) these are not.
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 - to the end
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    code = 1
    try:
        code = serve()
    except BaseException:  # noqa: BLE001 - as an interpreter would
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        os._exit(code)


if __name__ == "__main__":
    main(int(sys.argv[1]))
