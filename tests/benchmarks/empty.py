"""The barest server to compare with: Litestar handlers that read what is sent and say fixed things.

`python -m tests.benchmarks.empty SIZE [SIZE]` serves `POST /refresh` on the service's own server:
the same sockets, protocol, limits and event loop, from the same settings. It reads the same body
and answers one with an access token of SIZE characters, and a refresh token of so many where there
is a second SIZE, and does nothing else. `GET /me` and `POST /oauth/introspect` answer as much as
the service does to a user whose name has ten characters.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
from litestar import Litestar, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, JSONBody

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


class Shown(msgspec.Struct, frozen=True):
    """A token that is asked about."""

    token: str


class Me(msgspec.Struct, frozen=True):
    """As much as `GET /me` says."""

    user_key: str = "uk_" + "x" * 26
    user_id: str = "user000001"
    permissions: tuple[str, ...] = ()
    session_id: str = "x" * 22
    registered_at: str = "2026-01-01T00:00:00.000000Z"
    expires_at: str = "2026-01-01T01:00:00.000000Z"


class Active(msgspec.Struct, frozen=True):
    """As much as `POST /oauth/introspect` says."""

    active: bool = True
    scope: str = ""
    client_id: str = "uk_" + "x" * 26
    username: str = "user000001"
    token_type: str = "Bearer"
    exp: int = 1_800_003_600
    iat: int = 1_800_000_000
    sub: str = "uk_" + "x" * 26
    aud: str = "http://127.0.0.1"
    iss: str = "http://127.0.0.1"
    jti: str = "x" * 22
    sid: str = "x" * 22


Form = Annotated[Shown, Body(media_type=RequestEncodingType.URL_ENCODED)]


@get("/me")
async def show_me() -> Me:
    """Say who it might be."""
    return Me()


@post("/oauth/introspect", status_code=200)
async def introspect(data: Form) -> Active:
    """Say that it holds."""
    return Active()


def application(access: int, refresh: int = 0) -> Litestar:
    """The handlers alone, without anything that can be switched off."""
    token, successor = "x" * access, "x" * refresh

    @post("/refresh", status_code=200)
    async def steady(data: JSONBody[Asked]) -> Answered:
        return Answered(token)

    @post("/refresh", status_code=200)
    async def rotating(data: JSONBody[Asked]) -> Rotated:
        return Rotated(token, successor)

    handler = rotating if refresh else steady
    return Litestar([handler, show_me, introspect], openapi_config=None, logging_config=None)


def main() -> int:
    """Serve until told to stop; the exit code."""
    settings = load(os.environ).settings
    logs.configure(settings.log_format)

    def app() -> ASGI3Application:
        return cast("ASGI3Application", application(*map(int, sys.argv[1:])))

    return server.serve(app, settings, on_stop=lambda: None)


if __name__ == "__main__":
    sys.exit(main())
