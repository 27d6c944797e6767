"""What a process remembers of a log that was replaced under it, which nobody tells it.

Its generations have the same numbers as those of the log that is lost.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from app.bootstrap import Service, running
from app.caller import Caller, command_line
from app.hash_parameters import HashParameters
from app.settings import load
from app.upkeep import Upkeep
from domain.errors import InvalidToken, Unavailable
from tests.running import settings
from tests.store.replacing import beside, copy, remove, replace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path
    from typing import TypeVar

    from structlog.typing import EventDict

    T = TypeVar("T")

SECRET = "a quiet rope of seven"
HERE = Caller("0" * 32, "192.0.2.1", "one")


@pytest.fixture(autouse=True)
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing looks by itself."""
    monkeypatch.setattr("app.upkeep.LOOK_ROUND", 3600.0)


@pytest.fixture
def log_lines() -> Iterator[list[EventDict]]:
    """What is logged meanwhile."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def urls(database_url: str, tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """Of a store, of a copy of it, and of the place where the store is when the copy has its."""
    behind, lost = (beside(database_url, tmp_path, word) for word in ("behind", "lost"))
    yield database_url, behind, lost
    remove(behind)
    remove(lost)


async def again(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer, once the connections that were cut are found out."""
    for _ in range(20):
        try:
            return await ask()
        except Unavailable:
            await asyncio.sleep(0.05)
    return await ask()


async def log_in(service: Service, user_key: str) -> str:
    found = await again(lambda: service.accounts.authenticate(user_key, SECRET, HERE))
    return found.access_token


async def rotate(service: Service, *, at_once: bool) -> None:
    """To another key; `at_once` the one before is withdrawn."""
    await service.key_rotation.rotate(command_line(), at_once=at_once)
    await service.keys.reload()


async def rotated_elsewhere(url: str, user_key: str) -> tuple[str, int]:
    """A token of a process that withdraws the key there is, and the store's generation then."""
    async with running(load(settings(url)).settings) as other:
        await rotate(other, at_once=True)
        return await log_in(other, user_key), other.keys.generation


@pytest.mark.parametrize("looks", [False, True])
def test_a_key_that_another_history_withdrew_is_not_accepted_for_long(
    looks: bool, urls: tuple[str, str, str], log_lines: list[EventDict]
) -> None:
    """Security rule 16: by the next look, which here never comes by itself."""
    url, behind, lost = urls

    async def scene() -> None:
        async with running(load(settings(url)).settings) as service:
            upkeep = Upkeep(service, HashParameters(service.store.storage, service.pool))
            user_key = await service.accounts.register("ada", SECRET, HERE)
            old = await log_in(service, user_key)
            copy(url, behind)
            await again(lambda: rotate(service, at_once=False))
            of_lost = await log_in(service, user_key)
            await upkeep.look()
            bearer = await service.sessions.bearer(old)
            assert bearer.user_key == user_key
            new, generation = await rotated_elsewhere(behind, user_key)
            # By chance of their numbers nothing has moved.
            assert generation == service.keys.generation
            replace(url, behind, lost)

            if not looks:
                assert (await again(lambda: service.sessions.bearer(old))).user_key == user_key
                return
            await again(upkeep.look)
            for token in (old, of_lost):
                with pytest.raises(InvalidToken):
                    await service.sessions.bearer(token)
            assert (await service.sessions.bearer(new)).user_key == user_key
            await upkeep.look()
            assert (await service.sessions.bearer(await log_in(service, user_key))).user_key

    asyncio.run(scene())
    assert ("log_replaced" in [line["event"] for line in log_lines]) == looks


def test_a_ring_of_a_generation_that_is_lost_is_read_again(
    urls: tuple[str, str, str], log_lines: list[EventDict]
) -> None:
    url, behind, lost = urls

    async def scene() -> None:
        async with running(load(settings(url)).settings) as service:
            user_key = await service.accounts.register("ada", SECRET, HERE)
            old = await log_in(service, user_key)
            copy(url, behind)
            await again(lambda: rotate(service, at_once=True))
            with pytest.raises(InvalidToken):
                await service.sessions.bearer(old)
            replace(url, behind, lost)
            assert (await again(lambda: service.sessions.bearer(old))).user_key == user_key

    asyncio.run(scene())
    assert "log_replaced" not in [line["event"] for line in log_lines]
