"""Whoever ends a session that is past its absolute limit has ended it for every process.

Two processes share a store, and the clock of one is behind the log's, so that to it the session is
live still. The log is written with times of its own: nobody waits.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from app.bootstrap import Service, composed, open_vault, open_writer
from app.caller import Caller, command_line
from app.settings import load
from app.store import open_store, storage_of
from domain.commands import ChangeSecret, DisableUser, EnableUser, GrantPermissions
from domain.errors import InvalidToken
from domain.events import (
    RefreshTokenIssued,
    RefreshTokenUsed,
    UserLoggedIn,
    UserRegistered,
)
from domain.policy import CLOCK_TOLERANCE, SECOND
from domain.refresh_token import format_refresh_token
from domain.sealed import Clear
from domain.stream import actor_of
from tests.app.living import Author, Fact, person
from tests.running import settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.settings import Settings
    from domain.events import Event

ADA: Final = person(1)
OVER: Final = "0" * 21 + "A"
LATER: Final = "1" * 21 + "A"
HERE: Final = Caller("0" * 32, "203.0.113.77", "canary-agent/1.0")
LIFE: Final = 600 * SECOND
SKEW: Final = 25 * SECOND
"""As far as a process's clock is behind; a minute is allowed."""


class Scene:
    """One whose session is over, and who logged in again since.

    `right` has the log's clock; to `behind` the session is live still.
    """

    def __init__(self, right: Service, behind: Service, token: str) -> None:
        self.right, self.behind, self.token = right, behind, token

    async def dispatch(self, command: Any) -> None:
        await self.right.dispatcher.dispatch(command, command_line())


async def revoked(scene: Scene) -> None:
    await scene.right.refresh_tokens.revoke(scene.token, HERE)


async def revoked_by_access_token(scene: Scene) -> None:
    access = (await scene.behind.refresh_tokens.refresh(scene.token, HERE)).access_token
    await scene.right.introspection.revoke(access, ADA, HERE)


async def ended(scene: Scene) -> None:
    access = (await scene.behind.refresh_tokens.refresh(scene.token, HERE)).access_token
    bearer = await scene.behind.sessions.bearer(access)
    await scene.right.sessions.end(bearer, OVER, HERE)


async def all_ended(scene: Scene) -> None:
    access = (await scene.behind.refresh_tokens.refresh(scene.token, HERE)).access_token
    bearer = await scene.behind.sessions.bearer(access)
    await scene.right.sessions.end_all(bearer, HERE)


async def changed(scene: Scene) -> None:
    wish = ChangeSecret(ADA, Clear("$argon2id$another"), 1, LATER)
    await scene.right.dispatcher.dispatch(wish, HERE.meta(actor_of(ADA)))


async def disabled_for_a_while(scene: Scene) -> None:
    await scene.dispatch(DisableUser(ADA))
    await scene.dispatch(EnableUser(ADA))


@pytest.mark.parametrize("over", [0, SKEW - 5 * SECOND])
@pytest.mark.parametrize(
    "ends",
    [revoked, revoked_by_access_token, ended, all_ended, changed, disabled_for_a_while],
)
def test_it_ends_where_the_clock_is_behind_too(
    database_url: str, ends: Callable[[Scene], Awaitable[None]], over: int
) -> None:
    """Security rule 16."""

    async def acts(scene: Scene) -> None:
        # It is live there: that is what has to be ended.
        access = (await scene.behind.refresh_tokens.refresh(scene.token, HERE)).access_token
        await scene.behind.sessions.bearer(access)
        await ends(scene)
        for rotate in (False, True):
            with pytest.raises(InvalidToken) as caught:
                await scene.behind.refresh_tokens.refresh(scene.token, HERE, rotate=rotate)
            assert caught.value.reason == "revoked"
        with pytest.raises(InvalidToken):
            await scene.behind.sessions.bearer(access)

    asyncio.run(played(database_url, over, acts))


def test_the_tolerance_is_more_than_a_clock_may_be_behind() -> None:
    assert SKEW < CLOCK_TOLERANCE


async def played(url: str, over: int, acts: Callable[[Scene], Awaitable[None]]) -> None:
    """`over` is for how long (µs) the session was over by the log when its user logged in."""
    given = load(settings(url)).settings
    async with AsyncExitStack() as stack:
        store = open_store(storage_of(url), open_vault(given), "ES256")
        stack.callback(store.storage.close)
        author = Author(store)
        began = author.next_time
        happened: list[tuple[int, Event]] = [
            (0, UserRegistered(Clear("Ada"), Clear("$argon2id$one"))),
            (1, UserLoggedIn(OVER, "secret")),
            (1, RefreshTokenIssued(OVER, began + LIFE)),
            (2, RefreshTokenUsed(OVER, 1)),
            (LIFE + over, UserLoggedIn(LATER, "secret")),
            (LIFE + over, RefreshTokenIssued(LATER, began + 2 * LIFE)),
        ]
        for after, event in happened:
            author.write(Fact(ADA, began + after, event))
        now = began + LIFE + over
        right = await started(given, stack, now)
        behind = await started(given, stack, now - SKEW)
        # What is in the log is where it has to be, as it knows from now on.
        nothing = GrantPermissions(ADA, ())
        await behind.dispatcher.dispatch(nothing, command_line())
        await acts(Scene(right, behind, format_refresh_token(OVER, 1, store.ring.refresh)))


async def started(given: Settings, stack: AsyncExitStack, now: int) -> Service:
    """A process, whose clock shows this time."""
    store = open_store(storage_of(given.database_url), open_vault(given), "ES256")
    stack.callback(store.storage.close)
    writer = open_writer(store, given)
    service = composed(given, store, writer, stack, clock=lambda: now)
    service.dispatcher.start()
    return service
