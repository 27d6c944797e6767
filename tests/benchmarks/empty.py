"""The barest server to compare with: one Litestar handler that answers a fixed token.

`python -m tests.benchmarks.empty SIZE [SIZE]` serves `POST /refresh` on the service's own server:
the same sockets, protocol, limits and event loop, from the same settings. It reads the same body
and answers one with an access token of SIZE characters, and a refresh token of so many where there
is a second SIZE, and does nothing else.
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
    rotate: bool = False


class Answered(msgspec.Struct, frozen=True):
    """The body of an answer."""

    access_token: str


class Rotated(msgspec.Struct, frozen=True):
    """The body of an answer to a rotation."""

    access_token: str
    refresh_token: str


def application(access: int, refresh: int = 0) -> Litestar:
    """The handler alone, without anything that can be switched off."""
    token, successor = "x" * access, "x" * refresh

    @post("/refresh", status_code=200)
    async def steady(data: JSONBody[Asked]) -> Answered:
        return Answered(token)

    @post("/refresh", status_code=200)
    async def rotating(data: JSONBody[Asked]) -> Rotated:
        return Rotated(token, successor)

    handler = rotating if refresh else steady
    return Litestar([handler], openapi_config=None, logging_config=None)


def main() -> int:
    """Serve until told to stop; the exit code."""
    settings = load(os.environ).settings
    logs.configure(settings.log_format)

    def app() -> ASGI3Application:
        return cast("ASGI3Application", application(*map(int, sys.argv[1:])))

    return server.serve(app, settings, on_stop=lambda: None)


if __name__ == "__main__":
    sys.exit(main())
