"""Several processes that serve the same sockets: started, kept running, and stopped together.

Knows nothing of what they do. A worker is a fork of the supervisor, which opens nothing itself.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import structlog

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

_STOPPING = (signal.SIGTERM, signal.SIGINT)
_WATCHED = (*_STOPPING, signal.SIGCHLD, signal.SIGALRM)
_RESTART_AFTER_S = (0.1, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


class Ties(NamedTuple):
    """What a worker has of its supervisor: file descriptors of pipes."""

    ready: int
    """Written to once it serves."""
    parent: int
    """At its end when the supervisor is gone."""


class Worker(NamedTuple):
    """A process that the supervisor started."""

    pid: int
    ready: int
    """Readable once it serves."""


class Supervisor:
    """Keeps a number of processes serving the same sockets, and stops with them.

    `on_end` is told the process id of each that ends.

    uvicorn's own starts fresh interpreters, which can't be given an app factory with its settings
    in it, and knows neither our server nor its exit codes.
    """

    def __init__(
        self,
        work: Callable[[Ties | None], int],
        count: int,
        sockets: list[socket.socket],
        exit_s: float,
        *,
        on_end: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._work = work
        self._on_end = on_end
        self._count = count
        self._sockets = sockets
        self._exit_s = exit_s
        self._workers: list[Worker] = []
        self._alive, self._held = os.pipe()
        self._stopping = False
        self._serving = False
        self._failures = 0
        self._code = 0
        self._mask: set[int | signal.Signals] = set()

    def run(self) -> int:
        """Return the exit code: that of a worker that couldn't start at first, else 0 or 1."""
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        # Blocked and taken one by one below; a handler keeps the system from dropping them.
        previous = {sig: signal.signal(sig, lambda *_: None) for sig in _WATCHED}
        try:
            self._fill()
            while self._workers or not self._stopping:
                sig = signal.sigwait(_WATCHED)
                if sig == signal.SIGCHLD:
                    self._reap()
                elif sig in _STOPPING:
                    self._stop()
                elif self._stopping:
                    self._kill(signal.SIGKILL)
                else:
                    self._fill()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for sig, handler in previous.items():
                signal.signal(sig, handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            os.close(self._alive)
            os.close(self._held)
        return self._code

    def _fill(self) -> None:
        while len(self._workers) < self._count:
            ready, tell_ready = os.pipe()
            os.set_blocking(ready, False)
            pid = os.fork()
            if pid == 0:
                self._become_worker(Ties(tell_ready, self._alive))
            os.close(tell_ready)
            self._workers.append(Worker(pid, ready))

    def _become_worker(self, ties: Ties) -> NoReturn:
        """Serve in a new process; it never returns to the code that the supervisor came from."""
        code = 1
        try:
            os.close(self._held)
            for sig in _WATCHED:
                signal.signal(sig, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            code = self._work(ties)
        except BaseException:  # noqa: BLE001 - it ends here, whatever it is
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        for worker in self._workers[:]:
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                self._workers.remove(worker)
                self._on_end(worker.pid)
                self._ended(worker, os.waitstatus_to_exitcode(status))

    def _ended(self, worker: Worker, code: int) -> None:
        try:
            served = os.read(worker.ready, 1) == b"1"
        except BlockingIOError:
            served = False
        os.close(worker.ready)
        if self._stopping:
            # One that was not ready for signals yet ends by them, which is as good.
            self._code = self._code or (0 if code in {0, -signal.SIGTERM} else 1)
            return
        self._serving = self._serving or served
        if not self._serving:
            self._code = max(code, 1)
            self._stop()
            return
        self._failures = 0 if served else self._failures + 1
        wait = _RESTART_AFTER_S[min(self._failures, len(_RESTART_AFTER_S) - 1)]
        structlog.get_logger().error("worker_ended", process=worker.pid, code=code, again_in_s=wait)
        signal.setitimer(signal.ITIMER_REAL, wait)

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            # Else the system would go on taking connections that nobody answers.
            for bound in self._sockets:
                bound.close()
            signal.setitimer(signal.ITIMER_REAL, self._exit_s + 0.25)
        self._kill(signal.SIGTERM)

    def _kill(self, sig: signal.Signals) -> None:
        for worker in self._workers:
            os.kill(worker.pid, sig)
