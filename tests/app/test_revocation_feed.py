"""The feed alone, on each kind of store: whoever follows misses nothing and holds up nobody.

Looks happen when a test says so.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import pytest

from app import deadline, revocation_feed
from app.clock import now
from app.confirmed import Confirmed
from app.log_place import log_place
from app.reading import MAX_WAITING, Reading
from app.revocation_feed import (
    HEAD_EVERY,
    KEEP_PAGE,
    LOOK_EVERY,
    MAX_BEHIND,
    HeadSeen,
    Revocation,
    RevocationFeed,
    RevocationPage,
    _Look,
)
from app.store import Store, open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.errors import InvalidRequest, LogChanged, Overloaded, Unavailable
from domain.policy import Policy
from projections.storage import Lost
from tests.store.replacing import beside, copy, remove, replace
from tests.store.wishing import commit, end, log_in, register, session_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
    from pathlib import Path

    from app.eventstore.log import Head
    from projections.storage import Rows

T = TypeVar("T")
Told = Revocation | HeadSeen

HERD = 256
WAIT = 60
"""Seconds; only ever spent when a test fails."""
EVENTS = 3
"""Of a session that begins and ends; its end is the last."""


class Log:
    """Somebody logs in and out."""

    def __init__(self, url: str, store: Store) -> None:
        self.url = url
        self.id = store.log_id
        self._writer = Writer(store.log, store.vault, store.ring, Policy())
        self._sessions = 0
        commit(self._writer, [register("ada")])

    def ended(self, count: int = 1) -> list[str]:
        """So many sessions, which have just ended."""
        labels = [f"{self._sessions + each}" for each in range(count)]
        self._sessions += count
        for label in labels:
            commit(self._writer, [log_in("ada", label)])
            commit(self._writer, [end("ada", label)])
        return [session_id("ada", label) for label in labels]

    def place(self, position: int) -> str:
        return log_place(self.id, position)


class Time:
    """Seconds that pass when a test says so; a look is over when the feed sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self._asleep = asyncio.Event()
        self._over = asyncio.Semaphore(0)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self._asleep.set()
        await self._over.acquire()

    async def look(self, seconds: float = LOOK_EVERY) -> None:
        """Have the feed look at the store once more, after so many seconds."""
        await self.wake(seconds)
        await self.idle()

    async def wake(self, seconds: float = LOOK_EVERY) -> None:
        """Have the feed go on."""
        await self.idle()
        self._asleep.clear()
        self.now += seconds
        self._over.release()

    async def idle(self) -> None:
        """Wait for the look that goes on."""
        await self._asleep.wait()


class Watched(Reading):
    """Counts what it is asked to read; doesn't while `away`, nor give an answer while `held`."""

    def __init__(self, url: str) -> None:
        super().__init__(storage_of(url), owned=True)
        self.asked = 0
        self.away = False
        self.held: asyncio.Event | None = None
        self.found = asyncio.Event()

    async def read(self, work: Callable[[Rows], T]) -> T:
        self.asked += 1
        held = self.held
        if self.away:
            raise Unavailable
        try:
            return await super().read(work)
        finally:
            self.found.set()
            if held is not None:
                await held.wait()


class Standby(Confirmed):
    """Counts its commits; the standby that they reach hears nothing while it is `silent`.

    While it is `held`, nobody knows yet whether it does.
    """

    def __init__(self, url: str) -> None:
        super().__init__(storage_of(url), owned=True)
        self.commits = 0
        self.silent = False
        self.held: asyncio.Event | None = None

    async def _confirm(self, heads: Iterable[Head]) -> None:
        self.commits += 1
        if self.held is not None:
            await self.held.wait()
        if self.silent:
            msg = "canceling statement due to statement timeout"
            raise Lost(msg)
        await super()._confirm(heads)


class Feed(RevocationFeed):
    """A feed with what it is made of."""

    def __init__(self, url: str) -> None:
        self.time = Time()
        self.stopping = asyncio.Event()
        self.looking, self.paging = Watched(url), Watched(url)
        self.confirmed = Standby(url)
        super().__init__(
            self.looking,
            self.paging,
            self.confirmed,
            self.stopping,
            now,
            tick=self.time,
            sleep=self.time.sleep,
        )


@pytest.fixture
def log(database_url: str) -> Iterator[Log]:
    storage = storage_of(database_url)
    yield Log(database_url, open_store(storage, Vault(bytes(range(32))), "ES256"))
    storage.close()


class Behind:
    """A copy of the log as it is now, which takes its place: a server that heard no more."""

    def __init__(self, log: Log, directory: Path) -> None:
        self._log = log
        self._url, self._lost = (beside(log.url, directory, word) for word in ("behind", "lost"))
        copy(log.url, self._url)

    def take_over(self) -> None:
        """Serve, in the place of what there is."""
        replace(self._log.url, self._url, self._lost)

    def remove(self) -> None:
        """Leave nothing."""
        remove(self._url)
        remove(self._lost)


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
            feed.looking.close()
            feed.paging.close()
            await feed.confirmed.close()

    asyncio.run(running())


@asynccontextmanager
async def herd(feed: Feed, *places: str | None) -> AsyncIterator[list[AsyncIterator[Told]]]:
    """Followers who come together."""
    async with AsyncExitStack() as stack:
        yield await asyncio.gather(
            *(stack.enter_async_context(feed.following(place)) for place in places)
        )


async def heard(told: AsyncIterator[Told], position: int = 0) -> tuple[list[str | None], int]:
    """The sessions whose end is told until the head is there, and how far it is."""
    sessions = []
    async for each in told:
        if isinstance(each, Revocation):
            sessions.append(each.session_id)
        elif each.position >= position:
            return sessions, each.position
    return sessions, -1


async def begun(feed: Feed, *followers: AsyncIterator[Told]) -> list[tuple[list[str | None], int]]:
    """What each hears until its first head; perhaps there are more for it already."""
    hearing = asyncio.gather(*(heard(told) for told in followers))
    while not hearing.done():
        await feed.time.look(HEAD_EVERY)
    return await hearing


def sessions_of(page: RevocationPage) -> list[str | None]:
    return [each.session_id for each in page.items]


def test_every_follower_hears_of_each_end_and_then_of_the_head(log: Log) -> None:
    before = log.ended(2)

    async def test(feed: Feed) -> None:
        async with herd(feed, None, log.place(1)) as followers:
            found = await begun(feed, *followers)
            assert [sessions for sessions, _ in found] == [before, before]
            head = found[0][1] + 3 * EVENTS
            after = log.ended(3)
            await feed.time.look()
            for told in followers:
                assert await heard(told, head) == (after, head)
            feed.stopping.set()
            await feed.time.wake()
            for told in followers:
                assert [each async for each in told] == []

    run(log, test)


def test_a_head_comes_every_second_when_nothing_is_revoked(log: Log) -> None:
    async def test(feed: Feed) -> None:
        async with feed.following(None) as told:
            ((_, head),) = await begun(feed, told)
            before = feed._run.looks.told
            for _ in range(40):
                await feed.time.look(HEAD_EVERY / 4)
            assert feed._run.looks.told == before + 10
            for _ in range(10):
                assert await heard(told) == ([], head)

    run(log, test)


def test_who_comes_after_a_look_hears_what_it_found(log: Log) -> None:
    before = log.ended()

    async def test(feed: Feed) -> None:
        async with feed.following(None) as told:
            await feed.time.idle()
            await anext(told)
            after = log.ended()
            await feed.time.look()
            async with feed.following(None) as other:
                assert (await begun(feed, other))[0][0] == before + after

    run(log, test)


def test_who_comes_after_everybody_left_misses_nothing(log: Log) -> None:
    before = log.ended()

    async def test(feed: Feed) -> None:
        async with feed.following(None) as told:
            await feed.time.idle()
            await anext(told)
        after = log.ended()
        await feed.time.wake()
        assert feed._looking is not None
        await feed._looking
        async with feed.following(None) as told:
            assert (await begun(feed, told))[0][0] == before + after

    run(log, test)


def test_a_place_is_looked_at_before_anything_is_told(log: Log) -> None:
    async def follow(feed: Feed, place: str) -> None:
        async with feed.following(place):
            pass

    async def test(feed: Feed) -> None:
        async with feed.following(None) as told:
            _, head = await heard(told)
            log.ended()
            await follow(
                feed, log.place(head + EVENTS)
            )  # from another process, newer than any look
            for place in (log.place(head + EVENTS + 1), f"{'A' * 22}:1"):
                with pytest.raises(LogChanged):
                    await follow(feed, place)
            with pytest.raises(InvalidRequest):
                await follow(feed, "1")

    run(log, test)


def test_a_follower_who_stands_still_is_told_no_more_and_holds_nothing(log: Log) -> None:
    async def test(feed: Feed) -> None:
        async with herd(feed, None, None) as (still, quick):
            (_, head), _ = await begun(feed, still, quick)
            for _ in range(2 * MAX_BEHIND):
                await feed.time.look(HEAD_EVERY)
                assert await heard(quick) == ([], head)
            gc.collect()
            # By type alone: what stands for something else asks it what it is.
            assert sum(type(each) is _Look for each in gc.get_objects()) <= MAX_BEHIND + 1
            assert [each async for each in still] == []
        # It resumes where it was.
        ended = log.ended()
        async with feed.following(log.place(head)) as told:
            assert (await begun(feed, told))[0][0] == ended

    run(log, test)


def test_a_herd_of_followers_shares_what_it_reads(log: Log) -> None:
    (ended,) = log.ended()

    async def test(feed: Feed) -> None:
        async with herd(feed, *[None] * HERD) as followers:
            found = await asyncio.gather(*(anext(told) for told in followers))
            assert {each.session_id for each in found if isinstance(each, Revocation)} == {ended}
            # The head, a look, and a page, before and after the look.
            assert feed.looking.asked <= 4

    run(log, test)


def test_a_herd_with_places_of_their_own_is_not_refused(log: Log) -> None:
    assert MAX_WAITING < HERD
    ended = log.ended(HERD // EVENTS)

    async def test(feed: Feed) -> None:
        first = (await feed.page(None, 1)).items[0].position
        places = [log.place(first - EVENTS + each) for each in range(len(ended) * EVENTS)]
        async with herd(feed, *places) as followers:
            found = await begun(feed, *followers)
            assert [sessions for sessions, _ in found] == [
                ended[each // EVENTS :] for each in range(len(places))
            ]

    run(log, test)


def test_a_follower_waits_for_the_store_to_come_back(log: Log) -> None:
    ended = log.ended()

    async def test(feed: Feed) -> None:
        async with herd(feed, None, None) as followers:
            await feed.time.look()
            feed.looking.away = True
            hearing = asyncio.gather(*(heard(told) for told in followers))
            for _ in range(3):
                await feed.time.look(HEAD_EVERY)
            asked = feed.looking.asked
            await feed.time.look(HEAD_EVERY)
            assert feed.looking.asked == asked + 1  # nobody but the look asks
            feed.looking.away = False
            while not hearing.done():
                await feed.time.look(HEAD_EVERY)
            assert [sessions for sessions, _ in await hearing] == [ended, ended]

    run(log, test)


def test_when_the_service_stops_nobody_waits_for_the_store(log: Log) -> None:
    async def test(feed: Feed) -> None:
        async with feed.following(None) as told:
            await feed.time.look()
            feed.looking.away = True
            hearing = asyncio.ensure_future(heard(told))
            await feed.time.look()
            feed.stopping.set()
            await feed.time.wake()
            assert await hearing == ([], -1)
        with pytest.raises(Unavailable):
            async with feed.following(None):
                pass

    run(log, test)


def test_polls_that_come_together_are_one_read_and_it_is_soon_forgotten(log: Log) -> None:
    ended = log.ended()

    async def test(feed: Feed) -> None:
        pages = await asyncio.gather(*(feed.page(None, 9) for _ in range(HERD)))
        assert {tuple(sessions_of(page)) for page in pages} == {tuple(ended)}
        assert feed.paging.asked == 1
        assert sessions_of(await feed.page(None, 1)) == ended
        assert feed.paging.asked == 2  # another page is another read
        also = log.ended()
        feed.time.now += KEEP_PAGE
        assert sessions_of(await feed.page(None, 9)) == ended + also
        assert feed.looking.asked == 0

    run(log, test)


def test_a_place_is_not_refused_for_a_read_that_is_older(log: Log) -> None:
    async def test(feed: Feed) -> None:
        place = log.place((await feed.page(None, 1)).head + EVENTS)
        feed.paging.held = held = asyncio.Event()
        feed.paging.found.clear()
        guess = asyncio.create_task(feed.page(place, 1))
        await feed.paging.found.wait()
        feed.paging.held = None
        log.ended()
        asked = asyncio.create_task(feed.page(place, 1))
        await asyncio.sleep(0)
        held.set()
        assert (await asked).items == []
        await guess

    run(log, test)


def test_pages_without_end_hold_up_no_look(log: Log) -> None:
    released = threading.Event()

    def wait(rows: Rows) -> None:
        released.wait()

    async def test(feed: Feed) -> None:
        waiting = [asyncio.create_task(feed.paging.read(wait)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        try:
            with pytest.raises(Overloaded):
                await feed.page(None, 1)
            async with feed.following(None) as told:
                ((_, head),) = await begun(feed, told)
                ended = log.ended()
                await feed.time.look()
                assert await heard(told, head + EVENTS) == (ended, head + EVENTS)
        finally:
            released.set()
            await asyncio.gather(*waiting, return_exceptions=True)

    run(log, test)


def test_a_follower_who_leaves_holds_nobody_up(log: Log) -> None:
    ended = log.ended()

    async def test(feed: Feed) -> None:
        async with feed.following(None) as told:
            await feed.time.idle()
            feed.looking.held = asyncio.Event()
            feed.looking.found.clear()
            leaving = asyncio.ensure_future(heard(told))
            await feed.looking.found.wait()
            feed.looking.held = None
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            async with feed.following(None) as other:
                assert (await begun(feed, other))[0][0] == ended

    run(log, test)


def test_what_a_fail_over_could_take_back_is_told_to_nobody(log: Log) -> None:
    """Security rule 25."""

    async def test(feed: Feed) -> None:
        async with feed.following(None) as told:
            ((_, head),) = await begun(feed, told)
            feed.confirmed.silent = True
            ended = log.ended()
            hearing = asyncio.ensure_future(heard(told, head + EVENTS))
            for _ in range(3):
                await feed.time.look(HEAD_EVERY)
            assert not hearing.done()
            with pytest.raises(Unavailable):
                await feed.page(None, 9)
            async with feed.following(log.place(head)) as other:
                also = asyncio.ensure_future(heard(other, head + EVENTS))
                await feed.time.look(HEAD_EVERY)
                assert not also.done()
                feed.confirmed.silent = False
                while not also.done():
                    await feed.time.look(HEAD_EVERY)
                assert [await hearing, await also] == [(ended, head + EVENTS)] * 2
            assert (await feed.page(None, 9)).head == head + EVENTS

    run(log, test)


def test_who_resumes_waits_for_no_standby_of_others(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Security rule 27: hundreds that follow would wait one after the other."""
    monkeypatch.setattr(deadline, "left", lambda _: WAIT)

    async def test(feed: Feed) -> None:
        async with feed.following(None) as told:
            ((_, head),) = await begun(feed, told)
            feed.confirmed.held = asyncio.Event()
            log.ended()
            feed.looking.found.clear()
            async with feed.following(log.place(head)) as other:
                also = asyncio.ensure_future(heard(other, head + EVENTS))
                await feed.looking.found.wait()
                async with feed.following(log.place(head + EVENTS)):
                    assert not also.done()
                feed.confirmed.held.set()
                while not also.done():
                    await feed.time.look(HEAD_EVERY)

    run(log, test)


def test_who_resumes_waits_for_a_read_of_others_as_long_as_a_request_may(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Security rule 27."""

    async def test(feed: Feed) -> None:
        async with feed.following(None) as told:
            ((_, head),) = await begun(feed, told)
            async with feed.following(log.place(0)) as other:
                feed.looking.held = held = asyncio.Event()
                feed.looking.found.clear()
                also = asyncio.ensure_future(heard(other))
                await feed.looking.found.wait()
                monkeypatch.setattr(revocation_feed, "left", lambda _: 0.01)
                with pytest.raises(Unavailable):
                    async with feed.following(log.place(head + 1)):
                        pass
                held.set()
                feed.looking.held = None
                while not also.done():
                    await feed.time.look(HEAD_EVERY)

    run(log, test)


def test_an_end_at_a_position_that_was_lost_is_told(log: Log, behind: Behind) -> None:
    """Security rule 25: it would have been passed over by who heard of the lost one."""

    async def test(feed: Feed) -> None:
        async with feed.following(None) as told:
            ((_, head),) = await begun(feed, told)
            feed.confirmed.silent = True
            log.ended()
            await feed.time.look(HEAD_EVERY)
            behind.take_over()
            feed.confirmed.silent = False
            ended = log.ended()
            hearing = asyncio.ensure_future(heard(told, head + EVENTS))
            while not hearing.done():
                await feed.time.look(HEAD_EVERY)
            assert await hearing == (ended, head + EVENTS)

    run(log, test)


def test_who_followed_a_log_that_was_replaced_is_told_no_more_and_comes_anew(
    log: Log, behind: Behind
) -> None:
    async def test(feed: Feed) -> None:
        async with feed.following(None) as told:
            ((_, head),) = await begun(feed, told)
            log.ended()
            await feed.time.look(HEAD_EVERY)
            assert (await heard(told, head + EVENTS))[1] == head + EVENTS
            behind.take_over()
            await feed.time.wake(HEAD_EVERY)
            assert [each async for each in told] == []
        with pytest.raises(LogChanged):
            async with feed.following(log.place(head + EVENTS)):
                pass
        assert (await feed.page(log.place(head), 9)).head == head
        ended = log.ended()
        async with feed.following(log.place(head)) as told:
            assert (await begun(feed, told))[0] == (ended, head + EVENTS)

    run(log, test)
