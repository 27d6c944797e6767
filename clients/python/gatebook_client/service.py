"""One request to the service after another until it answers, or patience is at its end.

Waits as long as the service says, if that fits; knows neither tokens nor what is asked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import anyio
import httpx
import msgspec

from gatebook_client.errors import (
    ConfigurationError,
    ServiceUnavailable,
    TooManyAttempts,
    TryLater,
)
from gatebook_client.forks import renewed, whole
from gatebook_client.wire import USER_AGENT, Answer, check_seconds, error_of, pause

PATIENCE: Final = 30.0
"""Seconds for which a call waits for a service that is away or overloaded."""
TIMEOUT: Final = 10.0
"""Seconds for each step of a request, and for the whole body of its answer."""
_REFUSED: Final = 400


class Asked(msgspec.Struct, frozen=True):
    """One request."""

    method: str
    path: str
    content: bytes | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}
    repeatable: bool = True

    def __repr__(self) -> str:
        """Without what is sent."""
        return f"Asked({self.method} {self.path})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What pretty-printers show."""
        return [("method", self.method), ("path", self.path)]

    @property
    def sent_headers(self) -> dict[str, str]:
        """With that of the content."""
        more = {} if self.content is None else {"Content-Type": self.content_type}
        return {**self.headers, **more}


class Tries:
    """How long to wait for the next try, and when to give up."""

    def __init__(self, patience: float, *, repeatable: bool = True) -> None:
        self._patience = patience
        self._repeatable = repeatable
        self.restart()

    def restart(self) -> None:
        """It was there: patience begins anew."""
        self._until = time.monotonic() + self._patience
        self._turn = 0

    def next(self, refusal: TryLater) -> float:
        """Seconds to wait; raises the refusal when that is too long, or it may have been done."""
        if not self._repeatable and not isinstance(refusal, TooManyAttempts):
            raise refusal
        wait = max(refusal.retry_after or 0.0, pause(self._turn))
        if time.monotonic() + wait > self._until:
            raise refusal
        self._turn += 1
        return wait


class Service:
    """Asks a service from any thread; `transport` stands in for the network, in tests.

    Up to `idle` connections are kept for the next request. Who asks seldom keeps none, and has
    nothing to close.
    """

    def __init__(
        self,
        url: str,
        *,
        patience: float = PATIENCE,
        timeout: float = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
        idle: int = 20,
    ) -> None:
        check_seconds(patience=patience, timeout=timeout)
        self.url = url
        self.patience = patience
        self._idle = idle
        self.timeout = timeout
        self._transport = transport
        self._client: httpx.Client | None = None
        self._closing = threading.Event()
        renewed(self)

    def forked(self) -> None:
        """In a forked process: connections are not shared with the other one."""
        self._client = None
        was_closed, self._closing = self.is_closed, threading.Event()
        if was_closed:
            self._closing.set()

    def ask(self, asked: Asked, auth: httpx.Auth | None = None) -> tuple[Answer, float, float]:
        """The answer, other than one to try later, and when (monotonic) it was asked and given.

        Raises TryLater when no other came in time. What was asked may have been done all the same.
        """
        tries = Tries(self.patience, repeatable=asked.repeatable)
        while True:
            sent = time.monotonic()
            refusal: TryLater | None
            try:
                answer = self.once(asked, auth)
                refusal = _later(answer)
            except ServiceUnavailable as error:
                refusal = error
            if refusal is None:
                return answer, sent, time.monotonic()
            if self._closing.wait(tries.next(refusal)):
                raise refusal

    def once(self, asked: Asked, auth: httpx.Auth | None = None) -> Answer:
        """The answer to one request; raises ServiceUnavailable when none came."""
        try:
            with self.client().stream(
                asked.method,
                f"{self.url}{asked.path}",
                content=asked.content,
                headers=asked.sent_headers,
                auth=auth,
            ) as answer:
                body, until = bytearray(), time.monotonic() + self.timeout
                for each in answer.iter_bytes():
                    body += each
                    _in_time(answer, until)
        except httpx.RequestError as error:
            raise unreachable(self.url, error) from None
        except RuntimeError:
            if self.is_closed:
                raise closed() from None
            raise
        return Answer(answer.status_code, answer.headers, bytes(body))

    def client(self) -> httpx.Client:
        """The HTTP client, made when it is needed; raises ConfigurationError when it was closed."""
        with whole():
            if self._closing.is_set():
                raise closed()
            if self._client is None:
                self._client = httpx.Client(
                    timeout=self.timeout,
                    transport=self._transport,
                    headers={"User-Agent": USER_AGENT},
                    limits=httpx.Limits(max_keepalive_connections=self._idle),
                )
            return self._client

    @property
    def is_closed(self) -> bool:
        """Nothing can be asked any more."""
        return self._closing.is_set()

    def stop(self) -> None:
        """Begin no request any more; one that is on its way may end."""
        self._closing.set()

    def close(self) -> None:
        """Nor let one end."""
        self.stop()
        if self._client is not None:
            self._client.close()


class AsyncService:
    """The same for the tasks of one event loop."""

    def __init__(
        self,
        url: str,
        *,
        patience: float = PATIENCE,
        timeout: float = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        check_seconds(patience=patience, timeout=timeout)
        self.url = url
        self.patience = patience
        self._timeout = timeout
        with whole():
            self.client = httpx.AsyncClient(
                timeout=timeout, transport=transport, headers={"User-Agent": USER_AGENT}
            )

    async def ask(self, asked: Asked, auth: httpx.Auth | None = None) -> Answer:
        """The answer, other than one to try later; raises TryLater when no other came in time."""
        tries = Tries(self.patience, repeatable=asked.repeatable)
        while True:
            refusal: TryLater | None
            try:
                answer = await self.once(asked, auth)
                refusal = _later(answer)
            except ServiceUnavailable as error:
                refusal = error
            if refusal is None:
                return answer
            await anyio.sleep(tries.next(refusal))

    async def once(self, asked: Asked, auth: httpx.Auth | None = None) -> Answer:
        """The answer to one request; raises ServiceUnavailable when none came."""
        try:
            async with self.client.stream(
                asked.method,
                f"{self.url}{asked.path}",
                content=asked.content,
                headers=asked.sent_headers,
                auth=auth,
            ) as answer:
                body, until = bytearray(), time.monotonic() + self._timeout
                async for each in answer.aiter_bytes():
                    body += each
                    _in_time(answer, until)
        except httpx.RequestError as error:
            raise unreachable(self.url, error) from None
        except RuntimeError:
            if self.is_closed:
                raise closed() from None
            raise
        return Answer(answer.status_code, answer.headers, bytes(body))

    @property
    def is_closed(self) -> bool:
        """Nothing can be asked any more."""
        return self.client.is_closed


def closed() -> ConfigurationError:
    """What the use of something that was closed is raised as."""
    return ConfigurationError("It was closed, and asks nothing any more: make another one.")


def _in_time(answer: httpx.Response, until: float) -> None:
    """Raises ReadTimeout for a body that comes bit by bit, without end."""
    if time.monotonic() > until:
        raise httpx.ReadTimeout("the answer takes too long", request=answer.request)


def _later(answer: Answer) -> TryLater | None:
    error = error_of(answer) if answer.status >= _REFUSED else None
    return error if isinstance(error, TryLater) else None


def unreachable(url: str, error: Exception) -> ServiceUnavailable:
    """What a connection that failed is raised as."""
    return ServiceUnavailable(f"{url} doesn't answer: {type(error).__name__} {error}".rstrip())
