"""The feed of events, on each kind of store: one look for all, none while nobody follows.

Looks happen when a test says so.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from app.audit import Wanted
from app.event_feed import BEAT_EVERY, LOOK_EVERY, PAGE, EventFeed, Told
from app.eventstore.log import Head, read_head
from app.store import open_store, storage_of
from app.vault import Vault
from domain.errors import Damage, InvalidRequest, LogChanged, Unavailable
from tests.app.test_revocation_feed import WAIT, Log, Time, Watched
from tests.store.intruding import unseal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

BEGUN = 4
"""Events of a log in which somebody was registered."""
EVENTS = 3
"""Of a session that begins and ends."""
EVERYTHING = Wanted()


class Feed(EventFeed):
    """A feed with what it is made of."""

    def __init__(self, url: str) -> None:
        self.time = Time()
        self.stopping = asyncio.Event()
        self.store = open_store(storage_of(url), Vault(bytes(range(32))), "ES256")
        self.reading = Watched(url)
        self.looks = 0
        self.away = False
        super().__init__(
            self.reading,
            self.store.vault,
            self.see,
            self.stopping,
            tick=self.time,
            sleep=self.time.sleep,
        )

    async def see(self) -> Head:
        self.looks += 1
        if self.away:
            raise Unavailable
        with self.store.storage.snapshot() as rows:
            return read_head(rows)


@pytest.fixture
def log(database_url: str) -> Iterator[Log]:
    storage = storage_of(database_url)
    yield Log(database_url, open_store(storage, Vault(bytes(range(32))), "ES256"))
    storage.close()


def run(log: Log, test: Callable[[Feed], Awaitable[None]]) -> None:
    async def running() -> None:
        feed = Feed(log.url)
        try:
            async with asyncio.timeout(WAIT):
                await test(feed)
        finally:
            await feed.close()
            feed.reading.close()
            feed.store.storage.close()

    asyncio.run(running())


async def heard(told: AsyncIterator[Told], last: int) -> list[int]:
    """The positions that are told until one is there."""
    positions: list[int] = []
    async for each in told:
        positions += [item.position for item in each.items]
        if positions and positions[-1] >= last:
            break
    return positions


def test_nothing_is_looked_at_while_nobody_follows(log: Log) -> None:
    async def test(feed: Feed) -> None:
        async with feed.following(EVERYTHING, None) as told:
            await anext(told)
            await feed.time.idle()
        await feed.time.wake()
        assert feed._looking is not None
        await feed._looking
        looks, reads = feed.looks, feed.reading.asked
        log.ended()
        assert feed._looking.done()
        assert (feed.looks, feed.reading.asked) == (looks, reads)

    run(log, test)


def test_one_look_and_one_read_serve_everybody_at_one_place(log: Log) -> None:
    async def test(feed: Feed) -> None:
        async with AsyncExitStack() as stack:
            followers = [
                await stack.enter_async_context(feed.following(EVERYTHING, None)) for _ in range(20)
            ]
            for told in followers:
                assert await anext(told) == Told([], log.place(BEGUN))
            hearing = [asyncio.create_task(heard(told, BEGUN + EVENTS)) for told in followers]
            await feed.time.idle()
            log.ended()
            looks, reads = feed.looks, feed.reading.asked
            await feed.time.look()
            expected = list(range(BEGUN + 1, BEGUN + EVENTS + 1))
            assert await asyncio.gather(*hearing) == [expected] * 20
            assert (feed.looks, feed.reading.asked) == (looks + 1, reads + 1)

    run(log, test)


def test_who_comes_late_or_far_behind_misses_nothing(log: Log) -> None:
    log.ended(PAGE)
    head = BEGUN + EVENTS * PAGE

    async def test(feed: Feed) -> None:
        async with feed.following(EVERYTHING, log.place(2)) as told:
            assert await heard(told, head) == list(range(3, head + 1))
            log.ended()
            async with feed.following(EVERYTHING, log.place(head)) as other:
                assert await heard(other, head + EVENTS) == [head + 1, head + 2, head + 3]

    run(log, test)


def test_a_store_that_is_away_is_waited_for(log: Log) -> None:
    async def test(feed: Feed) -> None:
        async with feed.following(EVERYTHING, None) as told:
            await anext(told)
            hearing = asyncio.create_task(heard(told, BEGUN + EVENTS))
            await feed.time.idle()
            feed.away = feed.reading.away = True
            log.ended()
            await feed.time.look()
            feed.away = False  # and can't be read yet
            await feed.time.look()
            feed.reading.away = False
            while not hearing.done():
                await feed.time.look()
            assert await hearing == [BEGUN + 1, BEGUN + 2, BEGUN + 3]
            feed.away = True
            with pytest.raises(Unavailable):
                await feed.following(EVERYTHING, None).__aenter__()

    run(log, test)


def test_a_sign_of_life_tells_how_far_it_looked(log: Log) -> None:
    async def test(feed: Feed) -> None:
        async with feed.following(Wanted(type="user.erased"), None) as told:
            await anext(told)
            log.ended(3)
            reached = Told([], "")
            while reached.place != log.place(BEGUN + 3 * EVENTS):
                sign = asyncio.ensure_future(anext(told))
                while not sign.done():
                    await feed.time.look(BEAT_EVERY / 8)
                reached = await sign
                assert reached.items == []

    run(log, test)


def test_a_sign_of_life_comes_every_second_when_nothing_happens(log: Log) -> None:
    async def test(feed: Feed) -> None:
        async with feed.following(EVERYTHING, None) as told:
            await anext(told)
            await feed.time.idle()
            woken = feed._looked
            for _ in range(5):
                signs = asyncio.ensure_future(anext(told))
                for _ in range(8):
                    await feed.time.look(BEAT_EVERY / 8)
                assert await signs == Told([], log.place(BEGUN))
            assert feed._looked is not woken

    run(log, test)


def test_whoever_comes_doesn_t_keep_news_from_others(log: Log) -> None:
    async def test(feed: Feed) -> None:
        async with feed.following(EVERYTHING, None) as told:
            await anext(told)
            hearing = asyncio.create_task(heard(told, BEGUN + EVENTS))
            await feed.time.idle()
            log.ended()
            async with feed.following(EVERYTHING, None) as other:
                await anext(other)
                woken = feed._looked
                await feed.time.look(0)
                assert feed._looked is not woken
            assert await hearing == [BEGUN + 1, BEGUN + 2, BEGUN + 3]

    run(log, test)


def test_followers_end_with_the_service(log: Log) -> None:
    async def test(feed: Feed) -> None:
        async with feed.following(EVERYTHING, None) as told:
            hearing = asyncio.create_task(heard(told, 10**6))
            await feed.time.idle()
            feed.stopping.set()
            await feed.time.wake(LOOK_EVERY)
            assert await hearing == []

    run(log, test)


def test_what_can_t_be_told_ends_it_and_is_never_passed_over(log: Log) -> None:
    """Security rule 28."""
    log.ended()

    async def test(feed: Feed) -> None:
        with feed.store.storage.transaction() as rows:
            unseal(rows, feed.store.storage.kind)
            rows.execute("UPDATE events SET clear = ? WHERE position = ?", (b"{", BEGUN + 2))
            rows.commit()
        async with feed.following(EVERYTHING, log.place(2)) as told:
            pages = [each async for each in told]
            assert [item.position for each in pages for item in each.items] == [3, 4, 5]
            assert pages[-1].place == log.place(5)
        with pytest.raises(Damage):
            await feed.following(EVERYTHING, log.place(5)).__aenter__()
        async with feed.following(EVERYTHING, log.place(6)) as told:
            assert await heard(told, 7) == [7]

    run(log, test)


def test_a_place_that_is_none_is_refused_before_anything_is_told(log: Log) -> None:
    async def test(feed: Feed) -> None:
        for place, refusal in ((log.place(BEGUN + 1), LogChanged), ("5", InvalidRequest)):
            with pytest.raises(refusal):
                await feed.following(EVERYTHING, place).__aenter__()
        assert feed._looking is None

    run(log, test)
