"""A Struct as a JSON answer, with no more work than that takes.

The framework's own response builds and merges headers that these answers don't have; that was
a tenth of the cost of a steady `/refresh`. Whatever isn't a plain Struct goes the usual way.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

_encode = msgspec.json.Encoder().encode


class StructResponse(Response[Any]):
    """The response class of every handler that returns a Struct."""

    def __init__(self, content: Any, **given: Any) -> None:
        if isinstance(content, msgspec.Struct):
            self.content = content
            self.given = given
        else:
            self.given = {}
            super().__init__(content, **given)

    def to_asgi_response(  # type: ignore[override]
        self, app: None, request: Request[Any, Any, Any], **merged: Any
    ) -> ASGIResponse:
        """The bytes of the Struct, unless the handler declares headers or cookies."""
        if not self.given or merged.get("headers") or merged.get("cookies"):
            if self.given:
                super().__init__(self.content, **self.given)
            return super().to_asgi_response(app, request, **merged)
        return StructAnswer(self.given["status_code"], self.content)


class StructAnswer(ASGIResponse):
    """A Struct on its way, with the headers that every JSON answer has."""

    __slots__ = ()

    def __init__(self, status_code: int, content: msgspec.Struct) -> None:
        self.status_code = status_code
        self.body = _encode(content)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        del scope, receive
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(self.body)),
        ]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})
