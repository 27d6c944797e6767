"""What was revoked, as the issuer's feed tells it, and how old that knowledge is.

Followed in a thread of its own. Knows no token and no key.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from socket import SHUT_RDWR
from typing import Final, Protocol

import httpx
import msgspec

from gatebook_client.errors import (
    GatebookError,
    LogChanged,
    Problem,
    ServiceUnavailable,
    TryLater,
)
from gatebook_client.forks import ends, renewed
from gatebook_client.service import Service, unreachable
from gatebook_client.sse import EventReader, SentEvent
from gatebook_client.wire import Answer, decode, error_of, pause

PATH: Final = "/revocations/stream"
SILENCE: Final = 3.0
"""Seconds without a word, on a stream that says something every second, until it is left."""
_PRUNE_EVERY: Final = 60.0
_KEPT: Final = 3720.0
"""Seconds for which a session's end is kept at least: the longest that a token can be good, an
hour, a minute of leeway, and another one by which this clock may be behind the issuer's."""
_LONGEST_WAIT: Final = 3.0
"""Seconds until the next try, however long the issuer says: who fails closed is out meanwhile."""
_OK: Final = 200
_JOIN_SECONDS: Final = 5.0

_ANOTHER_LOG: Final = Problem("log_changed", 409, detail="The head is of another log.")

_logger = logging.getLogger("gatebook_client")


class _Socket(Protocol):
    def shutdown(self, how: int, /) -> None:
        """Wake who reads from it: there comes no more."""


class _Revocation(msgspec.Struct, frozen=True):
    position: int
    until: datetime
    session_id: str | None = None
    kid: str | None = None


class _Head(msgspec.Struct, frozen=True):
    log_id: str
    position: int
    time: datetime


class RevocationFeed:
    """Sessions that have ended and keys that were withdrawn; written by its thread alone.

    `withdrawn` is called with the kid of a key that was, `log_changed` when the issuer's log is
    another one, so that whatever was learned from it is void.
    """

    def __init__(
        self,
        service: Service,
        *,
        withdrawn: Callable[[str], None],
        log_changed: Callable[[], None],
    ) -> None:
        self._service = service
        self._withdrawn = withdrawn
        self._log_changed = log_changed
        # Each with the monotonic time until which it is kept: no clock that is set changes that.
        self._sessions: dict[str, float] = {}
        # For as long as the log is this one: whoever has a stolen key goes on signing.
        self._kids: set[str] = set()
        self._log_id: str | None = None
        self._position: int | None = None
        self._newest: tuple[float, float] | None = None
        """The newest head: the least (monotonic) at which it may have been so, and the epoch."""
        self._ahead: float | None = None
        """How far the issuer's clock is ahead of the monotonic one, as far as is known."""
        self._changed = False
        self._pruned_at = 0.0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._heard = threading.Condition()
        """Notified with each head."""
        self._line: _Socket | None = None
        """What the stream comes through: shut down, it ends at once."""
        self.started_at = 0.0
        """When it began to be followed (monotonic)."""
        self.first: Future[None] = Future()
        """Done with the first head, when everything that was revoked before it is known."""
        renewed(self)

    def forked(self) -> None:
        """In a forked process: followed anew when it is asked, from what is known on."""
        self._lock, self._heard = threading.Lock(), threading.Condition()
        self._thread = self._line = None
        was_closed, self._closing = self._closing.is_set(), threading.Event()
        if was_closed:
            self._closing.set()
        self.first = Future()
        if self._newest is not None:
            self.first.set_result(None)

    def start(self) -> None:
        """Follow, unless that is done already; once more if its thread has ended."""
        if self._followed():
            return
        with self._lock:
            if self._followed() or self._closing.is_set():
                return
            self.started_at = time.monotonic()
            if not self.first.done():
                self.first = Future()
                self.first.set_running_or_notify_cancel()
            thread = threading.Thread(target=self._run, name="gatebook revocations", daemon=True)
            thread.start()
            self._thread = thread

    @property
    def staleness(self) -> float:
        """Seconds since the newest head was true; infinite before the first one."""
        newest = self._newest
        return float("inf") if newest is None else max(0.0, time.monotonic() - newest[0])

    @property
    def changed(self) -> bool:
        """The log is another one, and hasn't been read again yet."""
        return self._changed

    def __len__(self) -> int:
        """How many revocations are remembered."""
        return len(self._sessions) + len(self._kids)

    def revoked(self, session_id: str, kid: str) -> bool:
        """Whether tokens of a session, or signed by a key, are refused."""
        return session_id in self._sessions or kid in self._kids

    def heard(self, position: int, seconds: float) -> bool:
        """Wait until everything up to a position is known; True at once if nothing is followed."""
        with self._heard:
            return self._heard.wait_for(
                lambda: (
                    self._closing.is_set()
                    or not self._followed()
                    or (not self._changed and (self._position or 0) >= position)
                ),
                seconds,
            )

    def close(self) -> None:
        """Follow no more."""
        self._closing.set()
        line = self._line
        if line is not None:
            with suppress(OSError):
                line.shutdown(SHUT_RDWR)
        thread = self._thread
        if thread is not None:
            thread.join(_JOIN_SECONDS)

    def _followed(self) -> bool:
        thread = self._thread
        return thread is not None and thread.is_alive()

    def _run(self) -> None:
        try:
            self._follow_on()
        finally:
            ends()

    def _follow_on(self) -> None:
        """Until it is closed, whatever happens."""
        turn, wait = 0, 0.0
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                if self._closing.wait(wait):
                    return
                began = time.monotonic()
                self._follow()
                wait = pause(0)
            except LogChanged:
                self._void()
                wait = 0.0
            except GatebookError as error:
                if self._closing.is_set():
                    return
                _logger.warning("The revocations of %s: %s", self._service.url, error)
                told = error.retry_after if isinstance(error, TryLater) else None
                wait = min(max(pause(turn), told or 0.0), _LONGEST_WAIT)
            except Exception:
                if self._closing.is_set():
                    return
                _logger.exception("The revocations of %s can't be read", self._service.url)
                wait = pause(turn)
            turn = 0 if time.monotonic() - began > SILENCE else turn + 1

    def _follow(self) -> None:
        """Until the stream ends; raises what ended it."""
        headers = {"Accept": "text/event-stream"}
        if self._log_id is not None and self._position is not None:
            headers["Last-Event-ID"] = f"{self._log_id}:{self._position}"
        self._ahead = None
        url, reader = f"{self._service.url}{PATH}", EventReader()
        try:
            with self._service.client().stream(
                "GET", url, headers=headers, timeout=httpx.Timeout(5.0, read=SILENCE)
            ) as answer:
                if answer.status_code != _OK:
                    raise error_of(Answer(answer.status_code, answer.headers, answer.read()))
                stream = answer.extensions.get("network_stream")
                self._line = stream and stream.get_extra_info("socket")
                if self._closing.is_set():
                    return
                for line in answer.iter_lines():
                    event = reader.feed(line)
                    if event is not None:
                        self._hear(event)
                    if self._closing.is_set():
                        return
        except httpx.RequestError as error:
            raise unreachable(url, error) from None
        finally:
            self._line = None

    def _hear(self, event: SentEvent) -> None:
        if event.name == "revocation":
            self._learn(decode(event.data, _Revocation))
        elif event.name == "head":
            self._reach(decode(event.data, _Head))

    def _learn(self, told: _Revocation) -> None:
        if told.session_id is not None:
            self._sessions[told.session_id] = self._kept_until(told.until.timestamp())
        if told.kid is not None and told.kid not in self._kids:
            self._kids.add(told.kid)
            self._withdrawn(told.kid)
        # Its place in the log is known once a head says which log that is.
        if self._log_id is not None:
            self._position = told.position

    def _reach(self, head: _Head) -> None:
        if self._log_id not in {None, head.log_id}:
            raise LogChanged(_ANOTHER_LOG)
        now, told = time.monotonic(), head.time.timestamp()
        ahead = told - now
        # On its way a head can only get older: the one that was fastest says how the clocks differ.
        self._ahead = ahead if self._ahead is None else max(self._ahead, ahead)
        if now - (told - self._ahead) > SILENCE:
            raise ServiceUnavailable("The heads come too late, or the issuer's clock was set back.")
        with self._heard:
            self._log_id, self._position = head.log_id, max(head.position, self._position or 0)
            self._newest = (told - self._ahead, told)
            self._changed = False
            self._heard.notify_all()
        if now - self._pruned_at > _PRUNE_EVERY:
            self._pruned_at = now
            self._prune(now)
        if not self.first.done():
            self.first.set_result(None)

    def _kept_until(self, until: float) -> float:
        """When (monotonic) no token of a session can be good any more that is revoked `until` then.

        By its age here, and at least `_KEPT`: an issuer's clock that leaps ahead for a while would
        else bring back sessions that have ended.
        """
        told = until - self._newest[1] if self._newest else 0.0
        return time.monotonic() + max(told, _KEPT)

    def _prune(self, now: float) -> None:
        """Forget the sessions that no unexpired token can have; `now` is monotonic."""
        for each in [each for each, until in self._sessions.items() if until < now]:
            del self._sessions[each]

    def _void(self) -> None:
        _logger.warning("The log of %s is another one: everything is read again", self._service.url)
        self._changed, self._newest = True, None
        # First: who is forked meanwhile finds the log changed once more.
        self._log_changed()
        self._log_id = self._position = None
        self._sessions, self._kids = {}, set()
