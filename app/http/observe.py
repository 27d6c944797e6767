"""Around every request: its id, the headers that every answer has, its log line, its count.

A plain ASGI wrapper outside of the framework, so that nothing is answered without it. What the
server refuses before it is a request has the same headers, and is counted here. Knows no route.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from app import deadline
from app.http.problem import MEDIA_TYPE, headers_of, problem_of, status_of
from app.identifiers import new_request_id
from app.logs import RequestLog
from domain.errors import GatebookError, Unavailable

if TYPE_CHECKING:
    # The server reads this module too, and is nothing of the framework's nor of the service's.
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

    from app.bootstrap import Service

Count = Callable[[str, str, int], None]
Header = tuple[bytes, bytes]

REFUSAL: Final = "gatebook.refusal"
"""The type of a scope in which the server names the `refusal` that it answered by itself."""

_CSP: Final = b"content-security-policy"
_CACHE: Final = b"cache-control"
_REFERRER: Final = b"referrer-policy"
_ALWAYS: Final = ((b"x-content-type-options", b"nosniff"),)
_UNLESS_SAID: Final = (
    (_CSP, b"default-src 'none'; frame-ancestors 'none'"),
    (_REFERRER, b"no-referrer"),
    (_CACHE, b"no-store"),
)
_OF_SOME: Final = frozenset({_CSP, _REFERRER, _CACHE, b"allow"})
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_HEAD: Final = "gatebook.head"
_NO_METHOD: Final = "OTHER"
_NO_ROUTE: Final = "unmatched"


def standing_headers(issuer: str) -> tuple[Header, ...]:
    """The headers of an answer that says nothing else of them."""
    return (*_always(issuer), *_UNLESS_SAID)


def asks_for_head(scope: Scope) -> bool:
    """Whether GET is HEAD in truth: what doesn't end by itself has to, for nobody reads it."""
    return _HEAD in scope


class Observed:
    """The app, observed; `service` is what handlers find in their scope once it runs."""

    service: Service | None = None

    def __init__(self, app: ASGIApp, log: RequestLog, count: Count, *, issuer: str) -> None:
        self._app = app
        self._issuer = issuer
        self._log = log
        self._count = count
        self._headers = _always(issuer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        noted: dict[str, Any] = scope  # type: ignore[assignment]
        if noted["type"] == REFUSAL:
            self._count_refusal(noted["refusal"])
            return
        if noted["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        deadline.begin()
        method = noted["method"] if noted["method"] in _METHODS else _NO_METHOD
        if method == "HEAD":
            # Answered as GET (RFC 9110 §9.3.2); the server drops the body, by its own scope.
            noted = {**noted, "method": "GET", _HEAD: True}
        noted["request_id"] = request_id = new_request_id()
        noted["service"] = self.service
        status = 500
        started_answer = False

        async def sending(message: Message) -> None:
            nonlocal status, started_answer
            if message["type"] == "http.response.start":
                started_answer = True
                status = message["status"]
                message["headers"] = [
                    *_completed(message["headers"]),
                    *self._headers,
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        try:
            await self._app(noted, receive, sending)  # type: ignore[arg-type]
        except asyncio.CancelledError:
            # The server stops, and this request kept it waiting too long.
            if started_answer:
                raise
            await self._stop_waiting(request_id, sending)
        finally:
            route = noted.get("path_template") or _NO_ROUTE
            self._count(route, method, status)
            duration = (time.perf_counter() - started) * 1000
            self._log(request_id, method, route, status, duration, noted.get("user_key"))

    def _count_refusal(self, refusal: GatebookError) -> None:
        # Of what could not be read, not even the method is believed.
        self._count(_NO_ROUTE, _NO_METHOD, status_of(type(refusal)))
        if self.service is not None:
            self.service.metrics.refused(refusal.code, "")

    async def _stop_waiting(self, request_id: str, send: Send) -> None:
        refusal = Unavailable("The service is stopping. Repeat the request.")
        problem = problem_of(refusal, self._issuer, request_id)
        body = msgspec.json.encode(problem)
        headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body))}
        headers |= headers_of(refusal)
        await send(
            {
                "type": "http.response.start",
                "status": problem.status,
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            }
        )
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _completed(answered: Iterable[Header]) -> Iterable[Header]:
    """An answer's own headers, and those that hold unless it says something else."""
    said = {name for name, _ in answered}
    if said.isdisjoint(_OF_SOME):
        return (*answered, *_UNLESS_SAID)
    added = [each for each in _UNLESS_SAID if each[0] not in said]
    return (*map(_with_head, answered), *added)


def _with_head(header: Header) -> Header:
    """`Allow` sorted; where it names GET, HEAD too, which is answered here and not by the app."""
    name, value = header
    if name != b"allow":
        return header
    methods = set(value.split(b", "))
    return name, b", ".join(sorted(methods | {b"HEAD"} if b"GET" in methods else methods))


def _always(issuer: str) -> tuple[Header, ...]:
    return (*_ALWAYS, _HSTS) if issuer.startswith("https:") else _ALWAYS
