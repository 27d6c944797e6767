"""The session of a program: who may be given a token in it, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from app.bootstrap import Service, running
from app.caller import Caller
from app.eventstore.log import Append
from app.identifiers import new_request_id
from app.settings import load
from domain.errors import InvalidCredentials, Unavailable
from tests.running import settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.proving import Proved

OLD, NEW = "walnut orbit teacup", "another orbit teacup"


def caller() -> Caller:
    return Caller(new_request_id(), "127.0.0.1", "a program/1")


class Held:
    """A grant that goes on, once it may, from when its secret was found right."""

    def __init__(self, service: Service, user_key: str, secret: str) -> None:
        self._proving = service.proving
        self._by_key = service.proving.by_key
        self._proved, self._go_on = asyncio.Event(), asyncio.Event()
        self._proving.by_key = self._hold  # type: ignore[method-assign]
        grant = service.service_sessions.grant(user_key, secret, None, caller())
        self.grant = asyncio.create_task(grant)

    async def _hold(self, user_key: str, secret: str, caller: Caller) -> Proved:
        found = await self._by_key(user_key, secret, caller)
        self._proved.set()
        await self._go_on.wait()
        return found

    async def proved(self) -> None:
        """Wait for the secret to be found right; whoever comes later isn't held."""
        await self._proved.wait()
        self._proving.by_key = self._by_key  # type: ignore[method-assign]

    def go_on(self) -> None:
        self._go_on.set()


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[tuple[Service, str]]:
    """A service in this process, and a user's key."""
    async with running(load(settings(url)).settings) as service:
        yield service, await service.accounts.register("ada", OLD, caller())


async def change_secret(service: Service, user_key: str) -> None:
    tokens = await service.accounts.authenticate(user_key, OLD, caller())
    bearer = await service.sessions.bearer(tokens.access_token)
    await service.accounts.change_secret(bearer, OLD, NEW, caller())


@pytest.mark.parametrize("used_since", [False, True])
def test_a_grant_for_a_secret_that_is_replaced_meanwhile_is_refused(
    database_url: str, *, used_since: bool
) -> None:
    """Security rule 17: not even in the session that the new secret has begun since."""

    async def scenario() -> None:
        async with serving(database_url) as (service, user_key):
            await service.service_sessions.grant(user_key, OLD, None, caller())
            held = Held(service, user_key, OLD)
            await held.proved()
            await change_secret(service, user_key)
            if used_since:
                await service.service_sessions.grant(user_key, NEW, None, caller())
            held.go_on()
            with pytest.raises(InvalidCredentials):
                await held.grant

    asyncio.run(scenario())


def test_a_grant_goes_on_in_the_session_that_another_began_meanwhile(database_url: str) -> None:
    async def scenario() -> None:
        async with serving(database_url) as (service, user_key):
            held = Held(service, user_key, OLD)
            await held.proved()
            other = await service.service_sessions.grant(user_key, OLD, None, caller())
            held.go_on()
            sessions = {
                (await service.recognition.recognise(each.access_token))[0].sid
                for each in (other, await held.grant)
            }
            assert len(sessions) == 1

    asyncio.run(scenario())


async def session_of(service: Service, user_key: str, caller: Caller) -> str:
    granted = await service.service_sessions.grant(user_key, OLD, None, caller)
    claims, _ = await service.recognition.recognise(granted.access_token)
    return claims.sid


def test_a_session_that_is_over_by_the_time_of_the_log_is_followed_by_another(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it's live by this clock, which may be behind."""

    async def scenario() -> None:
        async with serving(database_url) as (service, user_key):
            first = await session_of(service, user_key, caller())
            usual, later = Append.now, service.service_sessions._policy.session_max
            monkeypatch.setattr(Append, "now", lambda append: usual(append) + later)
            # What is worth a record is what the log has a say in.
            elsewhere = Caller(new_request_id(), "192.0.2.1", "a program/1")
            assert await session_of(service, user_key, elsewhere) != first

    asyncio.run(scenario())


def test_in_the_last_second_of_a_session_a_right_secret_is_to_try_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No token lives so briefly, and the next session can't begin before."""

    async def scenario() -> None:
        async with serving(database_url) as (service, user_key):
            for _ in range(2):  # its first use is recorded, and no later one
                await session_of(service, user_key, caller())
            sessions = service.service_sessions
            row = await sessions._lookup.service_session(user_key, 1)
            assert row is not None
            last = row.last_used_at + sessions._policy.session_idle - 1
            monkeypatch.setattr(sessions, "_clock", lambda: last)
            monkeypatch.setattr(sessions._grants, "_clock", lambda: last)
            with pytest.raises(Unavailable):
                await session_of(service, user_key, caller())

    asyncio.run(scenario())
