"""Access tokens in one process while the keys change in another.

The second process looks at the store only when it is asked something.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from app.bootstrap import Service, running
from app.caller import Caller, command_line
from app.settings import load
from domain.errors import InvalidToken
from tests.app.test_refresh_tokens import HeldBack
from tests.running import settings

SECRET = "a quiet rope of seven"
HERE = Caller("0" * 32, "192.0.2.1", "one")


@pytest.fixture(autouse=True)
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.upkeep.LOOK_ROUND", 3600.0)


def in_two(url: str, happens: Callable[[Service, Service], Awaitable[None]]) -> None:
    """Two services on one store; the second has just read its keys."""

    async def scene() -> None:
        async with AsyncExitStack() as stack:
            given = load(settings(url)).settings
            one, other = [await stack.enter_async_context(running(given)) for _ in range(2)]
            await happens(one, other)

    asyncio.run(scene())


async def logged_in(service: Service) -> tuple[str, str]:
    """Somebody's key and access token."""
    name = f"person{len(service.keys.known.keys)}"
    user_key = await service.accounts.register(name, SECRET, HERE)
    return user_key, (await service.accounts.authenticate(user_key, SECRET, HERE)).access_token


async def rotate_now(service: Service) -> None:
    await service.key_rotation.rotate(command_line(), at_once=True)
    await service.keys.reload()


def test_a_withdrawn_key_is_refused_whoever_reads_the_keys_meanwhile(database_url: str) -> None:
    """Security rule 16."""

    async def happens(one: Service, other: Service) -> None:
        user_key, token = await logged_in(one)
        await rotate_now(one)
        other.recognition._lookup = HeldBack(other.lookup, other.keys.reload, 1)  # type: ignore[assignment]
        with pytest.raises(InvalidToken):
            await other.sessions.bearer(token)
        other.recognition._lookup = other.lookup
        found = await other.introspection.introspect(token, user_key, ("admin",))
        assert not found.active

    in_two(database_url, happens)


def test_a_token_that_was_just_good_is_refused_when_its_key_was_withdrawn(
    database_url: str,
) -> None:
    """Security rule 16: in a process that remembers its signature."""

    async def happens(one: Service, other: Service) -> None:
        user_key, token = await logged_in(one)
        assert (await other.sessions.bearer(token)).user_key == user_key
        await rotate_now(one)
        with pytest.raises(InvalidToken):
            await other.sessions.bearer(token)
        found = await other.introspection.introspect(token, user_key, ("admin",))
        assert not found.active

    in_two(database_url, happens)


def test_a_token_that_was_just_good_is_refused_when_its_session_was_ended(
    database_url: str,
) -> None:
    """Security rule 16: that a signature is right says nothing of the session."""

    async def happens(one: Service, other: Service) -> None:
        _, token = await logged_in(one)
        bearer = await other.sessions.bearer(token)
        await one.sessions.end_all(bearer, HERE)
        with pytest.raises(InvalidToken, match="ended"):
            await other.sessions.bearer(token)

    in_two(database_url, happens)


def test_a_token_that_was_just_good_is_refused_when_it_has_expired(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def happens(one: Service, other: Service) -> None:
        _, token = await logged_in(one)
        bearer = await other.sessions.bearer(token)
        monkeypatch.setattr(other.recognition, "_clock", lambda: bearer.expires_at - 1)
        assert await other.sessions.bearer(token) == bearer
        for _ in range(2):
            monkeypatch.setattr(other.recognition, "_clock", lambda: bearer.expires_at)
            with pytest.raises(InvalidToken, match="expired"):
                await other.sessions.bearer(token)

    in_two(database_url, happens)


def test_a_token_of_a_key_that_is_news_is_known_and_ended_at_once(database_url: str) -> None:
    async def happens(one: Service, other: Service) -> None:
        await rotate_now(one)
        user_key, token = await logged_in(one)
        await other.introspection.revoke(token, user_key, HERE)
        with pytest.raises(InvalidToken):
            await one.sessions.bearer(token)

    in_two(database_url, happens)


def test_a_token_of_a_key_that_is_news_is_recognised(database_url: str) -> None:
    async def happens(one: Service, other: Service) -> None:
        await rotate_now(one)
        user_key, token = await logged_in(one)
        assert (await other.sessions.bearer(token)).user_key == user_key
        assert (await other.introspection.introspect(token, user_key, ())).active

    in_two(database_url, happens)
