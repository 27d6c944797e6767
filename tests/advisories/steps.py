"""Steps with rotating refresh tokens, and many requests at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import httpx

from app.dispatcher import Dispatcher
from app.throttle import FAILURES
from domain.commands import Command
from domain.stream import Meta, Recorded
from tests.http.steps import SECRET, problem
from tests.running import Server

HOME: Final = "198.51.100.7"


def rotate(api, token: str, **more: Any):
    """The answer to a rotation."""
    return api.post("/refresh", json={"refresh_token": token, "rotate": True}, **more)


def rotated(api, token: str) -> dict[str, str]:
    """The tokens that a rotation gives."""
    answer = rotate(api, token)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"access_token", "refresh_token"}
    return answer.json()


def family(api, token: str, generations: int) -> list[str]:
    """A refresh token and its descendants, each rotated but the last."""
    tokens = [token]
    while len(tokens) < generations:
        tokens.append(rotated(api, tokens[-1])["refresh_token"])
    return tokens


def expect_reason(answer, reason: str) -> None:
    """Demand that a genuine token was refused for this reason."""
    assert problem(answer, 401, "invalid_token", "reason")["reason"] == reason


def expect_dead(api, token: str, reason: str) -> None:
    """Demand that a refresh token gives nothing any more, whatever is asked of it."""
    for answer in (
        api.post("/refresh", json={"refresh_token": token}),
        rotate(api, token),
    ):
        expect_reason(answer, reason)


def at_once(
    api, requests: Iterable[tuple[str, object]], *, address: str = HOME
) -> list[httpx.Response]:
    """The answers to requests (path, body) from an address, all there before the first answer."""

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(api.app, client=(address, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url=str(api.base_url)) as client:
            return await asyncio.gather(*(client.post(path, json=body) for path, body in requests))

    return api.blocking_portal.call(ask)


def login(user_key: str, secret: str = SECRET) -> tuple[str, object]:
    """A login, for `at_once`."""
    return "/authenticate", {"user_key": user_key, "user_secret": secret}


def guesses_left(api, user_key: str, *, address: str = HOME) -> int:
    """How many wrong secrets are looked at, from an address; spends them."""
    wrong = login(user_key, "not the secret")
    answers = at_once(api, [wrong] * FAILURES, address=address)
    answers += at_once(api, [wrong], address=address)
    for answer in answers:
        assert answer.json()["code"] in {"invalid_credentials", "too_many_attempts"}, answer.text
    return [answer.status_code for answer in answers].count(401)


class Assembled:
    """A dispatcher that waits for so many commands: all have looked before the first is decided."""

    def __init__(self, dispatcher: Dispatcher, size: int) -> None:
        self._dispatcher = dispatcher
        self._barrier = asyncio.Barrier(size)
        self._assembled = False

    async def dispatch(self, command: Command, meta: Meta) -> tuple[Recorded, ...]:
        if not self._assembled:
            await self._barrier.wait()
            self._assembled = True
        return await self._dispatcher.dispatch(command, meta)


def client_of(server: Server) -> httpx.Client:
    """A client of a server that is a process of its own."""
    return httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=20.0)
