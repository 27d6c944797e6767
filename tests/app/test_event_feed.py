"""The feed of events, on each kind of store: one look for all, none while nobody follows.

Looks happen when a test says so.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from app.audit import EventItem, Wanted
from app.event_feed import BEAT_EVERY, LOOK_EVERY, PAGE, EventFeed, Told
from app.eventstore.log import Head, read_head
from app.store import open_store, storage_of
from app.vault import Vault
from domain.errors import Damage, InvalidRequest, LogChanged, Unavailable
from tests.app.test_revocation_feed import WAIT, Behind, Log, Standby, Time, Watched
from tests.store.intruding import unseal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

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
        self.confirmed = Standby(url)
        self.looks = 0
        self.away = False
        super().__init__(
            self.reading,
            self.store.vault,
            self.see,
            self.confirmed,
            self.stopping,
            tick=self.time,
            sleep=self.time.sleep,
        )

    async def see(self, known: Head | None = None) -> Head:
        self.looks += 1
        if self.away:
            raise Unavailable
        with self.store.storage.snapshot() as rows:
            return read_head(rows, known)


@pytest.fixture
def log(database_url: str) -> Iterator[Log]:
    storage = storage_of(database_url)
    yield Log(database_url, open_store(storage, Vault(bytes(range(32))), "ES256"))
    storage.close()


@pytest.fixture
def behind(log: Log, tmp_path: Path) -> Iterator[Behind]:
    found = Behind(log, tmp_path)
    yield found
    found.remove()


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
            await feed.confirmed.close()

    asyncio.run(running())


async def heard(told: AsyncIterator[Told], last: int) -> list[int]:
    """The positions that are told until one is there."""
    positions: list[int] = []
    async for each in told:
        positions += [item.position for item in each.items]
        if positions and positions[-1] >= last:
            break
    return positions


async def told_items(told: AsyncIterator[Told], last: int) -> list[EventItem]:
    """The events that are told until one has that position."""
    items: list[EventItem] = []
    while not items or items[-1].position < last:
        items += (await anext(told)).items
    return items


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
            woken = feed._run.looked
            for _ in range(5):
                signs = asyncio.ensure_future(anext(told))
                for _ in range(8):
                    await feed.time.look(BEAT_EVERY / 8)
                assert await signs == Told([], log.place(BEGUN))
            assert feed._run.looked is not woken

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
                woken = feed._run.looked
                await feed.time.look(0)
                assert feed._run.looked is not woken
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


def test_what_a_fail_over_could_take_back_is_told_to_nobody(log: Log) -> None:
    """Security rule 25."""

    async def test(feed: Feed) -> None:
        async with feed.following(EVERYTHING, None) as told:
            await anext(told)
            await feed.time.idle()
            feed.confirmed.silent = True
            log.ended()
            for _ in range(3):
                signs = asyncio.ensure_future(anext(told))
                while not signs.done():
                    await feed.time.look(BEAT_EVERY)
                assert await signs == Told([], log.place(BEGUN))
            with pytest.raises(Unavailable):
                await feed.following(EVERYTHING, None).__aenter__()
            async with feed.following(EVERYTHING, log.place(2)) as other:
                hearing = [asyncio.ensure_future(heard(each, BEGUN + 1)) for each in (told, other)]
                await feed.time.look(BEAT_EVERY)
                assert not any(each.done() for each in hearing)
                feed.confirmed.silent = False
                await feed.time.look(BEAT_EVERY)
                new = [BEGUN + 1, BEGUN + 2, BEGUN + 3]
                assert [await each for each in hearing] == [new, [3, 4, *new]]

    run(log, test)


def test_events_at_positions_that_were_lost_are_told(log: Log, behind: Behind) -> None:
    """Security rule 25: who had heard of the lost ones would pass over these."""

    async def test(feed: Feed) -> None:
        async with feed.following(EVERYTHING, None) as told:
            await anext(told)
            await feed.time.idle()
            feed.confirmed.silent = True
            log.ended()
            signs = asyncio.ensure_future(anext(told))
            while not signs.done():
                await feed.time.look(BEAT_EVERY)
            assert (await signs).items == []
            behind.take_over()
            feed.confirmed.silent = False
            hearing = asyncio.create_task(told_items(told, BEGUN + EVENTS))
            (ended,) = log.ended()
            while not hearing.done():
                await feed.time.look(BEAT_EVERY)
            items = await hearing
            assert [item.position for item in items] == [BEGUN + 1, BEGUN + 2, BEGUN + 3]
            assert items[-1].data["session_id"] == ended

    run(log, test)


def test_who_followed_a_log_that_was_replaced_is_told_no_more_and_comes_anew(
    log: Log, behind: Behind
) -> None:
    async def test(feed: Feed) -> None:
        async with feed.following(EVERYTHING, None) as told:
            await anext(told)
            hearing = asyncio.create_task(heard(told, BEGUN + EVENTS))
            await feed.time.idle()
            log.ended()
            while not hearing.done():
                await feed.time.look()
            behind.take_over()
            await feed.time.wake()
            assert [each async for each in told] == []
        with pytest.raises(LogChanged):
            await feed.following(EVERYTHING, log.place(BEGUN + EVENTS)).__aenter__()
        async with feed.following(EVERYTHING, log.place(BEGUN)) as told:
            hearing = asyncio.create_task(heard(told, BEGUN + EVENTS))
            await feed.time.idle()
            reads = feed.reading.asked
            for _ in range(5):
                await feed.time.look()
            assert feed.reading.asked == reads  # nothing is there, and nobody asks for it
            log.ended()
            while not hearing.done():
                await feed.time.look()
            assert await hearing == [BEGUN + 1, BEGUN + 2, BEGUN + 3]

    run(log, test)


def test_who_comes_first_after_a_log_was_replaced_begins_anew(log: Log, behind: Behind) -> None:
    async def test(feed: Feed) -> None:
        log.ended()
        async with feed.following(EVERYTHING, None) as told:
            assert (await anext(told)).place == log.place(BEGUN + EVENTS)
            await feed.time.idle()
            behind.take_over()
            async with feed.following(EVERYTHING, None) as other:
                assert (await anext(other)).place == log.place(BEGUN)
                assert [each async for each in told] == []

    run(log, test)
