"""Log lines: one record is one line of ASCII, and no secret is in it.

Knows nothing of requests but what `RequestLog` is told: the route's template, never its path, and
never a user_id, an address or a user agent (security rules 19 and 21).
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import threading
import time
import traceback
from select import PIPE_BUF
from typing import TYPE_CHECKING, Literal, TextIO

import msgspec
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, Processor, WrappedLogger

LogFormat = Literal["console", "json"]

MASK = "***"
_SECRET_NAME = re.compile(r"secret|token|password|passwd|authorization|cookie|key", re.IGNORECASE)
_HARMLESS_NAMES = frozenset({"user_key"})
# Several backslashes too: a quote in a JSON text has two once its repr is taken.
_QUOTED = r"""b?"(?:[^"\\]|\\+.)*"|b?'(?:[^'\\]|\\+.)*'"""
_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"gbr_[0-9A-Za-z]+"), f"gbr_{MASK}"),
    (re.compile(r"eyJ[0-9A-Za-z_-]{5,}(?:\.[0-9A-Za-z_-]*)*"), f"eyJ{MASK}"),
    (re.compile(r"\$argon2[^\s\"']+"), f"$argon2{MASK}"),
    (re.compile(r"(://[^\s/:@]*):[^\s@]*@"), rf"\1:{MASK}@"),
    (
        re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|\Z)", re.DOTALL),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(bearer|basic)\s+[^\s,;\"']+", re.IGNORECASE), rf"\1 {MASK}"),
    (
        # A header's line, or the same as a pair: all that follows is the value.
        re.compile(r"((?:authorization|cookie)[\"']?\s*[:=,]\s*)[^\r\n]+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    (
        # What the repr of a Struct, a mapping or a JSON text shows.
        re.compile(
            rf"([\w-]*(?:secret|token|password|passwd|master_key)[\w-]*[\"']?\s*[:=]\s*)"
            rf"(?:{_QUOTED}|[^\s,;)}}\]]+)",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)
_SUSPICIOUS = re.compile(
    r"gbr_|eyJ|\$argon2|://|PRIVATE KEY|bearer|basic|authorization|cookie|secret|token|passw|"
    r"master_key",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[\x21\x23-\x3c\x3e-\x5b\x5d-\x7e]+")


class Lines:
    """Whole lines to one stream, from any thread and beside other processes.

    A line that can't be written is dropped: a log that is full must not stop the service.
    """

    def __init__(self, stream: TextIO) -> None:
        buffer = getattr(stream, "buffer", None)
        # Below the buffers, so that a line is one system call and nothing waits for a flush.
        raw = getattr(buffer, "raw", buffer)
        self._write: Callable[[bytes], int | None] = (
            raw.write if raw is not None else lambda line: stream.write(line.decode("ascii"))
        )
        self._lock = threading.Lock()
        self._torn = False

    def write(self, lines: bytes) -> None:
        """Write whole lines: no others come in between when they have at most `PIPE_BUF` bytes."""
        with self._lock:
            # A line that was cut off in its middle is ended before the next one begins.
            rest = b"\n" + lines if self._torn else lines
            try:
                while rest and (written := self._write(rest)):
                    rest = rest[written:]
                    self._torn = bool(rest)
            except (OSError, ValueError):
                return

    def msg(self, line: str) -> None:
        """Write one line that structlog rendered."""
        self.write(f"{line}\n".encode("ascii"))

    debug = info = warning = error = critical = exception = fatal = log = msg


class Timestamp:
    """RFC 3339 in UTC with six decimals; remembers the last second, which most lines share."""

    def __init__(self) -> None:
        self._second = (-1, "")

    def __call__(self, now: int) -> str:
        """Return the time `now` (µs) as text."""
        second, micro = divmod(now, 1_000_000)
        known, text = self._second
        if second != known:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = (second, text)
        return f"{text}.{micro:06d}Z"


class RequestLine(msgspec.Struct, frozen=True):
    """What is told of one request."""

    time: str
    level: str
    event: str
    request_id: str
    method: str
    route: str | None
    status: int
    duration_ms: float
    user_key: str | None


class RequestLog:
    """Writes the one line of each request; around it stands no other pipeline, for speed.

    On an event loop the lines of one turn are written together, right after it: under load that
    is one system call for a dozen of them.
    """

    def __init__(self, lines: Lines, log_format: LogFormat, clock: Callable[[], int]) -> None:
        self._lines = lines
        self._clock = clock
        self._waiting: list[bytes] = []
        self._timestamp = Timestamp()
        self._encode: Callable[[RequestLine], bytes] = (
            msgspec.json.Encoder().encode if log_format == "json" else _console_request
        )

    def __call__(
        self,
        request_id: str,
        method: str,
        route: str | None,
        status: int,
        duration_ms: float,
        user_key: str | None,
    ) -> None:
        """Write the line. `route` is the path's template; a raw path may hold ids and tokens.

        All texts must be our own or checked before (ASCII without control characters).
        """
        line = RequestLine(
            self._timestamp(self._clock()),
            "error" if status >= 500 else "info",  # noqa: PLR2004 - a class of HTTP statuses
            "request",
            request_id,
            method,
            route,
            status,
            round(duration_ms, 3),
            user_key,
        )
        self._waiting.append(self._encode(line) + b"\n")
        if len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_soon(self._write)
            except RuntimeError:
                self._write()

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        together = b""
        for line in waiting:
            if len(together) + len(line) > PIPE_BUF:
                self._lines.write(together)
                together = b""
            together += line
        self._lines.write(together)


def configure(
    log_format: LogFormat,
    stream: TextIO | None = None,
    *,
    clock: Callable[[], int] = lambda: time.time_ns() // 1_000,
) -> RequestLog:
    """Send structlog and the standard library's loggers to `stream`, stderr unless given.

    `clock` gives µs. May be called again; the last call holds. Returns the log of requests.
    """
    lines = Lines(sys.stderr if stream is None else stream)
    timestamp = Timestamp()

    def add_time(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {"time": timestamp(clock()), **event}

    render = _json if log_format == "json" else _console
    pipeline: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        add_time,
        structlog.processors.format_exc_info,
        redact,
        render,
    ]
    structlog.configure(
        processors=pipeline,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_FromStandardLibrary()], level=logging.INFO, force=True)
    logging.captureWarnings(capture=True)
    for name, level in (("uvicorn.error", logging.WARNING), ("uvicorn.access", logging.CRITICAL)):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(level)
        # An access log with a handler anywhere above it would make uvicorn write one.
        logger.propagate = name != "uvicorn.access"
    return RequestLog(lines, log_format, clock)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask what has a secret's name, and what looks like a secret wherever it stands."""
    return {name: _redacted(name, value) for name, value in event.items()}


def masked(text: str) -> str:
    """Return the text with everything that looks like a secret masked."""
    if _SUSPICIOUS.search(text):
        for pattern, replacement in _SECRETS:
            text = pattern.sub(replacement, text)
    return text


def _redacted(name: str, value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if name not in _HARMLESS_NAMES and _SECRET_NAME.search(name):
        return MASK
    match value:
        case int() | float():
            return value
        case dict():
            return {masked(str(key)): _redacted(str(key), item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_redacted("", item) for item in value]
        case _:
            return masked(value if isinstance(value, str) else repr(value))


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    # Plain ASCII: whatever a reader takes for a line end or a control character is escaped.
    return _ascii(event)


def _console(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    words = [event.pop("time", ""), f"{event.pop('level', ''):<7}"]
    words.append(_ascii(str(event.pop("event", "")))[1:-1].replace('\\"', '"'))
    words += [f"{_word(name)}={_word(value)}" for name, value in event.items()]
    return " ".join(words)


def _word(value: object) -> str:
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else _ascii(value)


def _ascii(value: object) -> str:
    # As tight as the lines of requests, which another encoder writes.
    return json.dumps(value, separators=(",", ":")).replace("\x7f", "\\u007f")


def _console_request(line: RequestLine) -> bytes:
    return (
        f"{line.time} {line.level:<7} request {line.method} {line.route or '-'} {line.status} "
        f"{line.duration_ms}ms user_key={line.user_key or '-'} request_id={line.request_id}"
    ).encode("ascii", "backslashreplace")


class _FromStandardLibrary(logging.Handler):
    """Hands records of the standard library's loggers to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        try:
            told = {"logger": record.name}
            if record.exc_info and record.exc_info[0]:
                told["exception"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
            log.log(level, record.getMessage().strip(), **told)
        except Exception as error:  # noqa: BLE001 - a bad record must not fail whoever logs
            log.warning("log_record_not_written", logger=record.name, why=repr(error))
