"""What is done with the bytes of a connection before they are a request: limits and deadlines.

Knows nothing of routes, users or tokens. What gets past it is one unambiguous HTTP/1.1 request
(RFC 9112); everything else is one 400 and the end of the connection (security rules 1 and 7).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import httptools
import msgspec
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.http.observe import REFUSAL, standing_headers
from app.http.problem import MEDIA_TYPE, problem_of
from app.identifiers import new_request_id
from domain.errors import InvalidRequest, TooLarge

if TYPE_CHECKING:
    import asyncio

    from uvicorn.config import Config
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
    from uvicorn.server import ServerState

    from app.limits import Limits

HEAD_END = b"\r\n\r\n"
MAX_QUEUED = 1_000

# What is being read now. A head that began behind another request's end, in the same packet, can't
# be measured as bytes, since the parser doesn't say where that was.
_NOTHING, _HEAD, _HEAD_BEHIND, _BODY, _REFUSED = range(5)
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*", re.IGNORECASE)
_LF = ord("\n")
# Letters beyond begin every method but CONNECT and odd ones; line ends come before.
_FIRST_OF_CONNECT = ord("C")

Refusal = InvalidRequest | TooLarge
_MALFORMED = InvalidRequest(
    "This is not an unambiguous HTTP/1.1 request. Send one with CRLF line ends, one Host, and "
    "either one Content-Length or chunked coding."
)
_NO_METHOD = InvalidRequest(
    "The request doesn't begin with a method that HTTP servers know. Send one in capitals, such as "
    "GET or POST, and no more of a body than its Content-Length says."
)
_LONG_HEAD = InvalidRequest("The request's head is too long. Send fewer header bytes.")
_MANY_QUEUED = InvalidRequest("Too many requests at once. Wait for answers first.")
_LONG_BODY = TooLarge("The body is too long.")


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits; `guarded` makes the class that uvicorn is given.

    There is one timer a connection. A wait only notes when it ends; the timer looks at that when
    it fires, every few seconds, so that a request starts and stops none.
    """

    __slots__ = (
        "_ahead",
        "_deadline",
        "_head",
        "_most",
        "_reading",
        "_refusal",
        "_stall",
        "_taken",
        "_timer",
        "_timer_at",
        "_upgrade",
    )
    limits: ClassVar[Limits]
    issuer: ClassVar[str]
    standing: ClassVar[tuple[tuple[bytes, bytes], ...]]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._reading = _NOTHING
        self._head = bytearray()
        self._most = self.limits.head_bytes
        self._taken = 0
        self._upgrade = False
        self._ahead: RequestResponseCycle | None = None
        self._refusal: Refusal | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; its first request must come soon."""
        super().connection_made(transport)
        self._await_within(self.limits.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone, or was sent away."""
        for timer in (self._timer, self._stall):
            if timer is not None:
                timer.cancel()
        self._deadline = 0.0
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came: most often one whole request, which takes the short way."""
        if self._reading == _NOTHING and len(data) <= self._most and data[0] > _FIRST_OF_CONNECT:
            self._feed(data)
            return
        # In slices, so that a head that begins behind another request is measured as well.
        step = self._most // 4 if len(data) > self._most else len(data)
        for start in range(0, len(data), step):
            self._take(data[start : start + step])

    def on_headers_complete(self) -> None:
        """The parser read a head: the app is started with it, unless it is refused."""
        headers = self.headers
        names = dict(headers)
        cycle = self.cycle
        if (
            len(names) != len(headers)
            or b"host" not in names
            or b"transfer-encoding" in names
            or b"upgrade" in names
            or self._reading != _NOTHING
            or (cycle is not None and not cycle.response_complete)
            or self.parser.get_http_version() != "1.1"
        ):
            self._upgrade = self.parser.should_upgrade()
            if self._upgrade:
                return
            self._check_head()
            self._ahead = cycle
        super().on_headers_complete()
        # Trailers arrive where headers did, and must not join those that the app was given.
        self.headers = []
        self._reading = _BODY
        self._taken = 0
        self._deadline = 0.0

    def on_message_complete(self) -> None:
        """The parser read a body to its end."""
        if self._upgrade:
            return
        self._reading = _NOTHING
        self._deadline = 0.0
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def on_response_complete(self) -> None:
        """An answer is written: the next request's turn, or a while of silence.

        In place of what is inherited, which starts and stops a timer for each request.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._reading == _NOTHING:
            self._await_within(self.limits.idle_s)

    def pause_writing(self) -> None:
        """The client doesn't read as fast as is written: it gets a while to catch up."""
        super().pause_writing()
        if self._stall is None:
            self._stall = self.loop.call_later(self.limits.stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client caught up."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _take(self, data: bytes) -> None:
        """Go on with whatever is being read."""
        if self._reading == _NOTHING:
            if data[0] == _LF:
                self._refuse(_MALFORMED)
                return
            self._reading = _HEAD
            self._head = bytearray()
            self._await_within(self.limits.head_s)
        if self._reading == _HEAD:
            self._head += data
            self._feed(data)
            if self._reading == _HEAD and len(self._head) > self._most:
                self._refuse(_LONG_HEAD)
        elif self._reading != _REFUSED:
            self._go_on(data)

    def _go_on(self, data: bytes) -> None:
        """Take more of what is in the parser already: a body, or a head that came behind one."""
        self._taken += len(data)
        if self._reading == _HEAD_BEHIND and self._taken > self._most:
            self._refuse(_LONG_HEAD)
            return
        self._feed(data)
        most = self.limits.queued_body_bytes if self.pipeline else self.limits.body_bytes
        if self._reading == _BODY and self._taken > most:
            self._refuse(_LONG_BODY)
        elif self._reading == _NOTHING and self.cycle.response_complete:
            # The answer was there before the body's end: nothing else ends an idle connection.
            self._await_within(self.limits.idle_s)

    def _feed(self, data: bytes) -> None:
        """Hand bytes to the parser, and see what it is in the middle of then."""
        before, cycle = self._reading, self.cycle
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data, upgrade.args[0])
            return
        except httptools.HttpParserError as error:
            self._refuse(self._refusal or _meant_by(error))
            return
        if self._reading == _BODY:
            if not self._deadline:
                self._await_within(self.limits.body_s)
        elif self._reading == _NOTHING:
            if before == _NOTHING and self.cycle is cycle:
                self._reading = _HEAD
                self._head = bytearray(data)
                self._await_within(self.limits.head_s)
            elif self.scope is not self.cycle.scope:
                self._reading = _HEAD_BEHIND
                self._taken = 0
                self._await_within(self.limits.head_s)

    def _ignore_upgrade(self, data: bytes, end: int) -> None:
        """Read the request again as if no other protocol had been offered (RFC 9110 §7.8).

        The parser skips the body of a request with `Upgrade`, which some clients send with each
        first one. CONNECT looks the same to it and stays refused.
        """
        raw = bytes(self._head) if self._reading == _HEAD else data
        end += len(raw) - len(data)
        head = _UPGRADE.sub(b"", raw[:end])
        if len(head) == end or head.lstrip(b"\r\n").find(HEAD_END) + len(HEAD_END) < len(head):
            # Nothing is left out, or the head is not all that is there: it came behind another.
            self._refuse(_MALFORMED)
            return
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._reading = _HEAD
        self._head = bytearray(head + raw[end:])
        self._feed(bytes(self._head))

    def _check_head(self) -> None:
        """Check a head that the parser took unmeasured, or too easily, such as one of HTTP/2.0."""
        hosts = sum(name == b"host" for name, _ in self.headers)
        version = self.parser.get_http_version()
        if version not in {"1.0", "1.1"} or hosts > 1 or (not hosts and version != "1.0"):
            self._break(_MALFORMED)
        for name, value in self.headers:
            if name == b"transfer-encoding" and (value.lower() != b"chunked" or version != "1.1"):
                # Anything else leaves it open where the body ends (RFC 9112 §6.1).
                self._break(_MALFORMED)
        if self._reading == _HEAD:
            size = self._head.lstrip(b"\r\n").find(HEAD_END) + len(HEAD_END)
        else:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._most:
            self._break(_LONG_HEAD)
        if len(self.pipeline) >= MAX_QUEUED:
            self._break(_MANY_QUEUED)

    def _break(self, refusal: Refusal) -> None:
        """Stop the parser from inside one of its callbacks."""
        self._refusal = refusal
        raise ValueError(refusal.detail)

    def _refuse(self, refusal: Refusal) -> None:
        """Read nothing more, and say so once those requests that were right are answered."""
        in_body, self._reading = self._reading == _BODY, _REFUSED
        self._refusal, self._deadline, self._head = refusal, 0.0, bytearray()
        cycle = self.cycle
        if in_body and self.pipeline:
            # The broken one is the last in the queue, and was not started.
            self.pipeline.popleft()
            self._after(self._ahead)
        elif not in_body:
            self._after(cycle)
        else:
            # The app has this request, and counts it.
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self._linger()
            else:
                self._write_refusal()

    def _after(self, cycle: RequestResponseCycle | None) -> None:
        """Answer the refusal, once the request ahead of it has its answer."""
        if cycle is None or cycle.response_complete:
            self._answer_refusal()
        else:
            cycle.on_response = self._last_answered

    def _last_answered(self) -> None:
        self.on_response_complete()
        if not self.transport.is_closing():
            self._answer_refusal()

    def _answer_refusal(self) -> None:
        """Answer a request that the app never sees, and let it count that."""
        told: Any = {"type": REFUSAL, "headers": [], "refusal": self._refusal}
        task: asyncio.Task[None] = self.loop.create_task(self.app(told, _no_message, _no_message))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
        self._write_refusal()

    def _write_refusal(self) -> None:
        refusal = self._refusal or _MALFORMED
        problem = problem_of(refusal, self.issuer, new_request_id())
        body = msgspec.json.encode(problem)
        headers = [
            *self.server_state.default_headers,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            *self.standing,
            (b"x-request-id", problem.request_id.encode()),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%b: %b\r\n" % each for each in headers)
        self.transport.write(STATUS_LINE[problem.status] + lines + b"\r\n" + body)
        structlog.get_logger().info(
            "refused", request_id=problem.request_id, status=problem.status, why=problem.detail
        )
        self._linger()

    def _linger(self) -> None:
        """End our side, and read on for a moment without looking (RFC 9112 §9.6).

        Closing at once beside unread bytes makes the system reset the connection, and the client
        would lose the answer.
        """
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._await_within(self.limits.linger_s)

    def _await_within(self, seconds: float) -> None:
        """End the connection unless what is awaited has come by then."""
        self._deadline = self.loop.time() + seconds
        if self._timer is not None:
            if self._timer_at <= self._deadline:
                return
            self._timer.cancel()
        self._arm()

    def _arm(self) -> None:
        # Never later than the shortest wait that begins at any moment: so no timer is moved.
        self._timer_at = min(self._deadline, self.loop.time() + self.limits.head_s)
        self._timer = self.loop.call_at(self._timer_at, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._deadline:
            return
        if self.flow.read_paused:
            # It is us who don't read: the time since doesn't count.
            self._deadline = self.loop.time() + self.limits.body_s
        if self.loop.time() < self._deadline:
            self._arm()
        else:
            self.transport.abort()


def guarded(issuer: str, limits: Limits) -> type[GuardedProtocol]:
    """Make the protocol class for `uvicorn.Config(http=…)`; `issuer` begins problems' types."""
    own = {"issuer": issuer, "limits": limits, "standing": standing_headers(issuer)}
    return type("Guarded", (GuardedProtocol,), own)


def _meant_by(error: httptools.HttpParserError) -> Refusal:
    """What the parser's error says to a client.

    A method that no server knows is a 400 like any other. 501 (RFC 9110 §9.1) is no status of
    ours; a 405 would name in `Allow` what the path takes (§15.5.6), and the parser stops before
    there is a path.
    """
    # Of a method that another protocol has, such as PLAY, its text alone tells.
    return _NO_METHOD if "method" in str(error) else _MALFORMED


async def _no_message(*_: object) -> NoReturn:
    raise RuntimeError("Of a request that was refused there is nothing to receive or send.")
