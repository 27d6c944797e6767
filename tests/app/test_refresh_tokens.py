"""Refresh tokens when something happens between the look-up and the decision.

A look-up here is the service's own, held back: what it found may be old by the time it is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.audit import Wanted, events
from app.bootstrap import Service, running
from app.caller import Caller, command_line
from app.eventstore.log import Append
from app.lookup import Lookup
from app.refresh_tokens import MAX_TRIES
from app.settings import load
from domain.commands import DisableUser, EndSession
from domain.errors import InvalidToken
from domain.policy import CLOCK_TOLERANCE
from projections.token_lookup import TokenRow
from tests.running import settings

SECRET = "a quiet rope of seven"
HERE = Caller("0" * 32, "192.0.2.1", "one")
THERE = Caller("1" * 32, "192.0.2.2", "two")
ELSEWHERE = Caller("2" * 32, "192.0.2.3", "three")


class HeldBack:
    """Finds what there is; then something happens, so many times, before it is told."""

    def __init__(
        self, lookup: Lookup, happens: Callable[[], Awaitable[object]], times: int
    ) -> None:
        self._lookup = lookup
        self._happens = happens
        self.left = times

    async def session(self, session_id: str) -> TokenRow | None:
        row = await self._lookup.session(session_id)
        if self.left:
            self.left -= 1
            await self._happens()
        return row


class Scene:
    """A service with one user, who is logged in."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.tokens = service.refresh_tokens
        self.user_key = self.token = ""

    async def begin(self) -> None:
        self.user_key = await self.service.accounts.register("Ada", SECRET, HERE)
        found = await self.service.accounts.authenticate(self.user_key, SECRET, HERE)
        self.token = found.refresh_token

    def hold_back(self, happens: Callable[[], Awaitable[object]], times: int = 1) -> None:
        """Between the next look-ups and their use, this happens."""
        self.tokens._lookup = HeldBack(self.service.lookup, happens, times)  # type: ignore[assignment]

    async def wish(self, command: Any) -> None:
        await self.service.dispatcher.dispatch(command, command_line())

    def recorded(self) -> list[str]:
        store = self.service.store
        pages = events(store.storage, store.vault, Wanted(self.user_key))
        return [item.type.partition(".")[2] for page in pages for item in page][3:]


@pytest.fixture
def play(database_url: str) -> Callable[[Callable[[Scene], Awaitable[None]]], None]:
    """Plays a scene at a service on each kind of store."""

    def run(acts: Callable[[Scene], Awaitable[None]]) -> None:
        async def main() -> None:
            async with running(load(settings(database_url)).settings) as service:
                scene = Scene(service)
                await scene.begin()
                await acts(scene)

        asyncio.run(main())

    return run


def test_who_comes_second_gets_the_first_one_s_successor(play) -> None:
    async def acts(scene: Scene) -> None:
        rotate = scene.service.refresh_tokens.refresh
        first: list[str | None] = []

        async def other() -> None:
            first.append((await rotate(scene.token, HERE, rotate=True)).refresh_token)

        scene.hold_back(other)
        again = await rotate(scene.token, HERE, rotate=True)
        assert [again.refresh_token] == first
        assert scene.recorded() == ["rotated"]

    play(acts)


@pytest.mark.parametrize("rotate", [True, False])
def test_a_session_that_ends_meanwhile_is_over(play, rotate) -> None:
    """Security rule 16."""

    async def acts(scene: Scene) -> None:
        ending = EndSession(scene.user_key, scene.token[4:26], "admin")
        scene.hold_back(lambda: scene.wish(ending))
        with pytest.raises(InvalidToken) as caught:
            await scene.tokens.refresh(scene.token, HERE, rotate=rotate)
        assert caught.value.reason == "revoked"
        assert scene.recorded() == ["revoked"]

    play(acts)


@pytest.mark.parametrize("act", ["use", "rotate", "repeat"])
def test_a_session_that_the_log_has_left_behind_is_past_its_limit_and_not_ended(
    play, monkeypatch, act
) -> None:
    """A clock that went back shows that it is still good; the log's time doesn't go back."""

    async def acts(scene: Scene) -> None:
        if act == "repeat":
            await scene.tokens.refresh(scene.token, HERE, rotate=True)
        usual, later = Append.now, scene.tokens._policy.session_max + CLOCK_TOLERANCE
        monkeypatch.setattr(Append, "now", lambda append: usual(append) + later)
        await scene.service.accounts.authenticate(scene.user_key, SECRET, HERE)
        with pytest.raises(InvalidToken) as caught:
            await scene.tokens.refresh(scene.token, HERE, rotate=act == "rotate")
        assert caught.value.reason == "expired"
        assert "revoked" not in scene.recorded()

    play(acts)


@pytest.mark.parametrize("rotate", [True, False])
def test_a_user_that_is_disabled_meanwhile_is_out(play, rotate) -> None:
    """Security rule 16."""

    async def acts(scene: Scene) -> None:
        scene.hold_back(lambda: scene.wish(DisableUser(scene.user_key)))
        with pytest.raises(InvalidToken) as caught:
            await scene.tokens.refresh(scene.token, HERE, rotate=rotate)
        assert caught.value.reason == "user_disabled"
        assert scene.recorded() == ["disabled", "revoked"]

    play(acts)


def test_a_use_that_was_recorded_meanwhile_is_not_recorded_twice(play) -> None:
    async def acts(scene: Scene) -> None:
        use = scene.tokens.refresh
        await use(scene.token, HERE)
        scene.hold_back(lambda: use(scene.token, THERE))
        await use(scene.token, THERE)
        assert scene.recorded() == ["used", "used"]

    play(acts)


def test_a_token_that_is_rotated_and_used_meanwhile_is_a_late_duplicate(play) -> None:
    async def acts(scene: Scene) -> None:
        use = scene.tokens.refresh

        async def other() -> None:
            successor = (await use(scene.token, HERE, rotate=True)).refresh_token
            assert successor is not None
            await use(successor, HERE)

        scene.hold_back(other)
        with pytest.raises(InvalidToken) as caught:
            await use(scene.token, HERE)
        assert caught.value.reason == "retired"
        assert scene.recorded() == ["rotated", "used"]

    play(acts)


class Restless:
    """Every look-up is old by the time that it is told; those of who makes it so are not."""

    def __init__(self, scene: Scene, happens: Callable[[], Awaitable[object]]) -> None:
        self._scene = scene
        self._real = scene.service.lookup
        self._happens = happens

    async def session(self, session_id: str) -> TokenRow | None:
        row = await self._real.session(session_id)
        self._scene.tokens._lookup = self._real
        await self._happens()
        self._scene.tokens._lookup = self  # type: ignore[assignment]
        return row


def test_a_session_that_never_comes_to_rest_refuses_nobody(play) -> None:
    async def acts(scene: Scene) -> None:
        use, callers = scene.tokens.refresh, [HERE, THERE]
        await use(scene.token, HERE)

        async def other() -> None:
            callers.reverse()
            await use(scene.token, callers[0])

        scene.tokens._lookup = Restless(scene, other)  # type: ignore[assignment]
        assert (await use(scene.token, ELSEWHERE)).access_token
        assert scene.recorded() == ["used"] * (1 + MAX_TRIES + 1)  # the last try's own, too

    play(acts)


@pytest.mark.parametrize("rotate", [True, False])
def test_a_repeat_from_elsewhere_is_recorded_though_another_came_between(play, rotate) -> None:
    async def acts(scene: Scene) -> None:
        use = scene.tokens.refresh
        first = await use(scene.token, HERE, rotate=True)
        scene.hold_back(lambda: use(scene.token, THERE, rotate=rotate))
        again = await use(scene.token, ELSEWHERE, rotate=rotate)
        assert again.refresh_token == (first.refresh_token if rotate else None)
        assert scene.recorded() == ["rotated", "repeated", "repeated"]

    play(acts)


def test_a_repeat_of_who_repeated_meanwhile_is_not_recorded_twice(play) -> None:
    async def acts(scene: Scene) -> None:
        use = scene.tokens.refresh
        await use(scene.token, HERE, rotate=True)
        scene.hold_back(lambda: use(scene.token, THERE))
        await use(scene.token, THERE)
        assert scene.recorded() == ["rotated", "repeated"]

    play(acts)


def test_a_retired_token_that_never_comes_to_rest_refuses_nobody(play) -> None:
    """Its successor's answer was lost, and it is repeated from two places all the time."""

    async def acts(scene: Scene) -> None:
        use, callers = scene.tokens.refresh, [HERE, THERE]
        await use(scene.token, HERE)
        await use(scene.token, HERE, rotate=True)

        async def other() -> None:
            callers.reverse()
            await use(scene.token, callers[0], rotate=True)

        scene.tokens._lookup = Restless(scene, other)  # type: ignore[assignment]
        assert (await use(scene.token, ELSEWHERE, rotate=True)).refresh_token
        assert scene.recorded() == ["used", "rotated"] + ["repeated"] * (MAX_TRIES + 1)

    play(acts)


def test_a_revocation_that_was_done_meanwhile_is_done_once(play) -> None:
    async def acts(scene: Scene) -> None:
        revoke = scene.tokens.revoke
        scene.hold_back(lambda: revoke(scene.token, HERE))
        await revoke(scene.token, HERE)
        assert scene.recorded() == ["revoked"]

    play(acts)


def test_what_was_given_is_not_shown_by_its_repr(play) -> None:
    """Security rule 19."""

    async def acts(scene: Scene) -> None:
        found = await scene.tokens.refresh(scene.token, HERE, rotate=True)
        for private in (found.access_token, found.refresh_token or "", scene.token):
            assert private
            assert private not in repr(found)

    play(acts)
