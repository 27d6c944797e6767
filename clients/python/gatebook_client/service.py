"""One request to the service after another until it answers, or patience is at its end.

Waits as long as the service says, if that fits; knows neither tokens nor what is asked.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import Final

import httpx
import msgspec

from gatebook_client.errors import ServiceUnavailable, TryLater
from gatebook_client.wire import USER_AGENT, Answer, error_of, pause

PATIENCE: Final = 30.0
"""Seconds for which a call waits for a service that is away or overloaded."""
TIMEOUT: Final = 10.0
"""Seconds for one request."""


class Service:
    """Asks a service from any thread; `transport` stands in for the network, in tests."""

    def __init__(
        self,
        url: str,
        *,
        patience: float = PATIENCE,
        timeout: float = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url
        self.patience = patience
        self._timeout = timeout
        self._transport = transport
        self._client: httpx.Client | None = None
        self._pid = os.getpid()
        self._closing = threading.Event()

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Answer, float, float]:
        """The answer, other than one to try later, and when (monotonic) it was asked and given.

        Raises TryLater when no other came in time. What was asked may have been done all the same.
        """
        until = time.monotonic() + self.patience
        turn = 0
        while True:
            sent = time.monotonic()
            try:
                answer = self.once(method, path, body, headers)
            except ServiceUnavailable as error:
                refusal: TryLater = error
            else:
                found = error_of(answer) if answer.status >= 400 else None  # noqa: PLR2004
                if not isinstance(found, TryLater):
                    return answer, sent, time.monotonic()
                refusal = found
            wait = max(refusal.retry_after or 0.0, pause(turn))
            if time.monotonic() + wait > until or self._closing.wait(wait):
                raise refusal
            turn += 1

    def once(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to one request; raises ServiceUnavailable when none came."""
        given = dict(headers or {})
        content = None
        if body is not None:
            content, given["Content-Type"] = msgspec.json.encode(body), "application/json"
        try:
            answer = self.client().request(
                method, f"{self.url}{path}", content=content, headers=given
            )
        except httpx.TransportError as error:
            raise unreachable(self.url, error) from None
        return Answer(answer.status_code, answer.headers, answer.content)

    def client(self) -> httpx.Client:
        """The HTTP client; another one in a forked process, which must not share connections."""
        if self._client is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._client = httpx.Client(
                timeout=self._timeout,
                transport=self._transport,
                headers={"User-Agent": USER_AGENT},
            )
        return self._client

    def close(self) -> None:
        """Wait for nothing any more."""
        self._closing.set()
        if self._client is not None:
            self._client.close()


def unreachable(url: str, error: Exception) -> ServiceUnavailable:
    """What a connection that failed is raised as."""
    return ServiceUnavailable(f"{url} doesn't answer: {type(error).__name__} {error}".rstrip())
