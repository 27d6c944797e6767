"""Hot handlers without the framework's layers around them, which cost as much as what they do.

A POST that is marked `direct` is found by its whole path, given its Struct and the request, and
called; what it raises is answered as the framework would have it answered. It is declared, routed
and described as any other: without this module everything works, and slower. Such a handler takes a
body and no parameters; one that has hooks is refused at start, as they would be passed over. Knows
no path (ADR 0018).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Empty, Receive, Scope, Send

from app.http.answer import StructAnswer
from app.http.body import StrictRequest, read_json
from app.http.problems import AnyRequest

MARK: Final = "direct"
"""The option of a handler that says so."""

_HOOKS: Final = (
    *("before_request", "after_request", "after_response", "before_send", "guards", "middleware"),
    *("dependencies", "parameters", "dto", "return_dto", "response_cookies", "response_headers"),
    *("cache_control", "etag", "background"),
)
"""What no layer may have, be it the application."""
_OWN: Final = ("exception_handlers", "request_max_body_size", "request_class", "response_class")
"""What only the application may have: it is told of those."""
_NONE: Final[tuple[object, ...]] = (None, Empty, (), [], {}, set())

Answer = Callable[[AnyRequest, Exception], Any]


class _Handler(NamedTuple):
    call: Callable[..., Awaitable[msgspec.Struct]]
    path: str
    body: type[msgspec.Struct]
    status: int


class Direct:
    """The application, whose marked handlers are called at once."""

    def __init__(self, app: Litestar, answer: Answer) -> None:
        self._otherwise: ASGIApp = app.asgi_handler
        self._answer = answer
        self._handlers = dict(_marked(app.routes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        asked: dict[str, Any] = scope  # type: ignore[assignment]
        handler = self._handlers.get((asked.get("method", ""), asked.get("path", "")))
        if handler is None:
            await self._otherwise(scope, receive, send)
            return
        asked["path_template"] = handler.path
        request = StrictRequest(scope, receive, send)
        response: ASGIApp
        try:
            data = read_json(await request.body(), handler.body)
            content = await handler.call(data=data, request=request)
            response = StructAnswer(handler.status, content)
        except Exception as error:  # noqa: BLE001 - as the framework catches it
            response = self._answer(request, error).to_asgi_response(None, request)
        await response(scope, receive, send)


def _marked(routes: Iterable[object]) -> Iterator[tuple[tuple[str, str], _Handler]]:
    for route in routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                if handler.opt.get(MARK):
                    found = _Handler(handler.fn, route.path, _body(handler), handler.status_code)
                    yield ("POST", route.path), found


def _body(handler: HTTPRouteHandler) -> type[msgspec.Struct]:
    """The Struct of its body; raises `TypeError` for a handler that takes anything else."""
    taken = handler.parsed_fn_signature.parameters
    hooks = [*_hooks(handler)]
    if set(taken) != {"data", "request"} or hooks:
        has = f" and has {', '.join(hooks)}" if hooks else ""
        msg = f"{handler.handler_name} takes {', '.join(taken)}{has}: it can't be called directly"
        raise TypeError(msg)
    wanted: type[msgspec.Struct] = taken["data"].annotation
    return wanted


def _hooks(handler: HTTPRouteHandler) -> Iterator[str]:
    """What the framework would do for a handler besides calling it, by the names of its options."""
    layers = handler.ownership_layers
    for name in _HOOKS:
        if any(getattr(layer, name, Empty) not in _NONE for layer in layers):
            yield name
    for name in _OWN:
        if any(getattr(layer, name, Empty) not in _NONE for layer in layers[1:]):
            yield name
