"""Serving: sockets, signals and draining, around whatever ASGI app it is given.

Knows nothing of the app but how to make it, and nothing of the store. What a connection may send
is `app.protocol`'s, and several processes are `app.supervisor`'s.
"""

from __future__ import annotations

import asyncio
import copy
import errno
import gc
import os
import signal
import socket
from typing import TYPE_CHECKING

import structlog
import uvicorn
from uvicorn.lifespan.on import LifespanOn

from app import metrics
from app.limits import Limits
from app.protocol import guarded
from app.settings import SettingFault, SettingsError
from app.supervisor import Supervisor
from domain.errors import GatebookError, InternalError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from uvicorn._types import (
        ASGI3Application,
        ASGIReceiveCallable,
        ASGISendCallable,
        Scope,
    )
    from uvicorn.lifespan.on import LifespanSendMessage

    from app.settings import Settings
    from app.supervisor import Ties

BACKLOG = 2_048


def serve(
    app_factory: Callable[[], ASGI3Application],
    settings: Settings,
    *,
    on_stop: Callable[[], None],
    prepare: Callable[[], None] = lambda: None,
    on_failure: Callable[[Exception], int] | None = None,
    limits: Limits | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code: 0 when stopped that way.

    `prepare` is called once, when the sockets are bound and nothing is accepted yet.
    `app_factory` is called in each process that serves, after the sockets are bound; so is
    `on_stop`, on the event loop, as soon as the process is told to stop: what would go on for
    ever must end then. Open requests are answered, for at most 7 s; a second signal doesn't wait
    and gives 1. `on_failure` is told what kept the app from starting (in each process), and gives
    the exit code. Call it on the main thread, before other threads are started.
    """
    failed = tell if on_failure is None else on_failure
    bounds = limits or Limits()
    sockets: list[socket.socket] = []
    try:
        sockets = listen(settings.host, settings.port)
        prepare()
    except Exception as error:  # noqa: BLE001 - every reason becomes an exit code
        for bound in sockets:
            bound.close()
        return failed(error)

    def work(ties: Ties | None) -> int:
        try:
            config = configuration(app_factory(), settings, bounds)
            server = Server(config, on_stop=on_stop, exit_s=bounds.exit_s, ties=ties)
            return server.work(sockets)
        except Exception as error:  # noqa: BLE001 - every reason becomes an exit code
            return failed(error)

    try:
        if settings.workers == 1:
            return work(None)
        with metrics.shared():
            return Supervisor(
                work, settings.workers, sockets, bounds.exit_s, on_end=metrics.forget
            ).run()
    finally:
        for bound in sockets:
            bound.close()


def tell(error: Exception) -> int:
    """Say on the log why the service didn't start, and return the exit code."""
    if isinstance(error, GatebookError):
        structlog.get_logger().error("not_started", code=error.code, detail=error.detail)
    else:
        structlog.get_logger().error("not_started", exc_info=error)
    match error:
        case SettingsError():
            return 2
        case Unavailable():
            return 6
        case _:
            return 1


def configuration(app: ASGI3Application, settings: Settings, limits: Limits) -> uvicorn.Config:
    """Configure uvicorn; forwarded headers count from the trusted networks alone."""
    config = uvicorn.Config(
        app,
        interface="asgi3",
        loop="uvloop",
        http=guarded(settings.issuer, limits),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Given always, since uvicorn would take the ones of its own environment variables.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        workers=1,
        backlog=BACKLOG,
        timeout_graceful_shutdown=limits.drain_s,
    )
    config.load()
    config.lifespan_class = Lifespan
    return config


def listen(host: str, port: int) -> list[socket.socket]:
    """Bind every address of `host`; accepting begins later. Raises SettingsError."""
    sockets: list[socket.socket] = []
    error: OSError | None = None
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE, proto=socket.IPPROTO_TCP
        )
    except OSError as unknown:
        problem = f"is {host!r}, which is no address of this machine ({unknown.strerror}). Mend it."
        raise SettingsError(SettingFault("GATEBOOK_HOST", problem)) from None
    for family, kind, protocol, _, address in dict.fromkeys(found):
        # A port that the system chose for the first address is the port of all.
        chosen = sockets[0].getsockname()[1] if sockets else port
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind((address[0], chosen, *address[2:]))
        except OSError as failure:
            bound.close()
            # A name may have an address that this machine lacks; one that is taken is a fault.
            if error is None or failure.errno == errno.EADDRINUSE:
                error = failure
        else:
            sockets.append(bound)
    if error is not None and (not sockets or error.errno == errno.EADDRINUSE):
        for bound in sockets:
            bound.close()
        problem = (
            f"is {port}, on which {host} can't be listened to ({error.strerror}). Stop what holds "
            "it, or choose another."
        )
        raise SettingsError(SettingFault("GATEBOOK_PORT", problem))
    return sockets


class Lifespan(LifespanOn):
    """Runs the app's start and end, and keeps what went wrong for who can say what to do."""

    failure: BaseException | None = None

    async def send(self, message: LifespanSendMessage) -> None:
        """Take the app's word, without its text: often a traceback, which `failure` holds too."""
        if message["type"].endswith(".failed"):
            self.failure = InternalError(str(message.get("message", "")))
            message["message"] = ""  # type: ignore[typeddict-unknown-key]
        await super().send(message)

    async def main(self) -> None:
        """Run the app's lifespan."""
        app = self.config.loaded_app

        async def noting(
            scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
        ) -> None:
            try:
                await app(scope, receive, send)
            except BaseException as error:
                self.failure = error
                # Told already, as far as uvicorn is concerned.
                self.startup_failed = not self.startup_event.is_set()
                self.shutdown_failed = not self.startup_failed
                raise

        self.config = copy.copy(self.config)
        self.config.loaded_app = noting
        await super().main()


class Server(uvicorn.Server):
    """One process that serves: told to stop it drains, within 10 s, and then its code is 0."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        on_stop: Callable[[], None],
        exit_s: float,
        ties: Ties | None = None,
    ) -> None:
        super().__init__(config)
        self._on_stop = on_stop
        self._exit_s = exit_s
        self._ties = ties
        self._loop: asyncio.AbstractEventLoop | None = None

    def work(self, sockets: list[socket.socket]) -> int:
        """Serve, and return the exit code. Raises what the app's lifespan raised."""
        previous = signal.signal(signal.SIGALRM, _give_up)
        try:
            self.run(sockets)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        self._raise_failure()
        structlog.get_logger().info("stopped", drained=not self.force_exit)
        return int(self.force_exit)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, then accept connections."""
        self._loop = loop = asyncio.get_running_loop()
        try:
            await super().startup(sockets)
        except SystemExit:
            self._raise_failure()
            raise
        # What is here now stays, so no later collection looks at it again.
        gc.collect()
        gc.freeze()
        urls = [_url(bound) for bound in sockets or ()]
        structlog.get_logger().info("serving", url=" ".join(urls), process=os.getpid())
        if self._ties is not None:
            loop.add_reader(self._ties.parent, self._orphaned, self._ties.parent)
            os.write(self._ties.ready, b"1")
        if self.should_exit:
            self._on_stop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop gracefully; told once more, at once.

        What uvicorn would do besides is left out: it raises the signal again when all is done,
        and the exit code would be the signal's.
        """
        del frame
        if sig == signal.SIGINT and self._ties is not None:
            # A terminal sends it to all; the supervisor passes it on.
            return
        if self.should_exit:
            self.force_exit = True
            return
        self.should_exit = True
        signal.setitimer(signal.ITIMER_REAL, self._exit_s)
        if self._loop is not None and self.started:
            # A signal comes between any two steps of Python; the loop's own turn is safe.
            self._loop.call_soon_threadsafe(self._on_stop)

    def _orphaned(self, parent: int) -> None:
        asyncio.get_running_loop().remove_reader(parent)
        if not self.should_exit:
            self.handle_exit(signal.SIGTERM, None)

    def _raise_failure(self) -> None:
        failure = getattr(self.lifespan, "failure", None)
        if failure is not None and not self.force_exit:
            raise failure


def _give_up(_sig: int, _frame: FrameType | None) -> None:
    """Leave what doesn't end: the promise is to be gone within 10 s."""
    structlog.get_logger().error("stopped_without_draining")
    os._exit(1)


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if bound.family == socket.AF_INET6 else f"http://{host}:{port}"
