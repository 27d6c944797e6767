"""The barest server to compare with: one Litestar handler that answers a fixed token.

`python -m tests.benchmarks.empty SIZE` serves `POST /refresh` on the service's own server: the
same sockets, protocol, limits and event loop, from the same settings. It reads the same body and
answers one with a token of SIZE characters, and does nothing else.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, cast

import msgspec
from litestar import Litestar, post
from litestar.params import JSONBody

from app import logs, server
from app.settings import load

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application


class Asked(msgspec.Struct, frozen=True):
    """The body of a request."""

    refresh_token: str


class Answered(msgspec.Struct, frozen=True):
    """The body of an answer."""

    access_token: str


def application(size: int) -> Litestar:
    """The handler alone, without anything that can be switched off."""
    token = "x" * size

    @post("/refresh", status_code=200)
    async def refresh(data: JSONBody[Asked]) -> Answered:
        return Answered(token)

    return Litestar([refresh], openapi_config=None, logging_config=None)


def main() -> int:
    """Serve until told to stop; the exit code."""
    settings = load(os.environ).settings
    logs.configure(settings.log_format)

    def app() -> ASGI3Application:
        return cast("ASGI3Application", application(int(sys.argv[1])))

    return server.serve(app, settings, on_stop=lambda: None)


if __name__ == "__main__":
    sys.exit(main())
