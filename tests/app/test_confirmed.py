"""How far the log is confirmed: shared, remembered, and only of the log that is there."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from app.audit import Wanted
from app.confirmed import Confirmed
from app.event_pages import EventPages
from app.eventstore.log import Replaced, confirm, read_head
from app.paging import Part
from app.store import open_store, storage_of
from app.vault import Vault
from domain.errors import Unavailable
from tests.app.test_revocation_feed import Behind, Log, Standby, Watched
from tests.waiting import LONGEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from pathlib import Path

    from app.eventstore.log import Head
    from projections.storage import Storage

SO_MANY = 20
EVERYTHING = Wanted()


class Slow(Standby):
    """Whose commits end when a test says so."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.begun = asyncio.Semaphore(0)
        self.may_end = asyncio.Semaphore(0)

    async def _confirm(self, heads: Iterable[Head]) -> None:
        self.begun.release()
        await self.may_end.acquire()
        await super()._confirm(heads)


@pytest.fixture
def log(database_url: str) -> Iterator[Log]:
    storage = storage_of(database_url)
    yield Log(database_url, open_store(storage, Vault(bytes(range(32))), "ES256"))
    storage.close()


@asynccontextmanager
async def closing(confirmed: Confirmed, storage: Storage) -> AsyncIterator[None]:
    try:
        yield
    finally:
        storage.close()
        await confirmed.close()


def head_of(storage: Storage) -> Head:
    with storage.snapshot() as rows:
        return read_head(rows)


def test_who_waits_at_once_shares_a_commit_and_what_is_confirmed_costs_none(log: Log) -> None:
    async def test() -> None:
        confirmed, storage = Standby(log.url), storage_of(log.url)
        async with closing(confirmed, storage):
            head = head_of(storage)
            for _ in range(2):
                await asyncio.gather(*(confirmed.reached(head) for _ in range(SO_MANY)))
                assert confirmed.commits == 1
            with storage.snapshot() as rows:
                assert confirmed.seen(rows) == (head, head.position)
            log.ended()
            with storage.snapshot() as rows:
                seen = confirmed.seen(rows)
            assert seen == (head_of(storage), head.position)
            await confirmed.reached(seen.head)
            assert confirmed.commits == 2

    asyncio.run(test())


def test_a_commit_is_for_nobody_who_read_after_it_had_begun(log: Log) -> None:
    async def test() -> None:
        confirmed, storage = Slow(log.url), storage_of(log.url)
        async with closing(confirmed, storage):
            first = asyncio.create_task(confirmed.reached(head_of(storage)))
            await confirmed.begun.acquire()
            log.ended()
            later = [
                asyncio.create_task(confirmed.reached(head_of(storage))) for _ in range(SO_MANY)
            ]
            await asyncio.sleep(0)
            confirmed.may_end.release()
            await first
            await confirmed.begun.acquire()
            assert not any(each.done() for each in later)
            confirmed.may_end.release()
            await asyncio.gather(*later)
            assert confirmed.commits == 2

    asyncio.run(test())


def test_what_cant_be_confirmed_is_unavailable_until_it_can(log: Log) -> None:
    async def test() -> None:
        confirmed, storage = Standby(log.url), storage_of(log.url)
        async with closing(confirmed, storage):
            confirmed.silent = True
            for _ in range(2):
                with pytest.raises(Unavailable):
                    await confirmed.reached(head_of(storage))
            confirmed.silent = False
            await confirmed.reached(head_of(storage))

    asyncio.run(test())


def test_nobody_waits_longer_than_he_may_and_the_commit_goes_on(log: Log) -> None:
    async def test() -> None:
        confirmed, storage = Slow(log.url), storage_of(log.url)
        async with closing(confirmed, storage):
            head = head_of(storage)
            with pytest.raises(Unavailable):
                await confirmed.reached(head, 0)
            await confirmed.begun.acquire()
            waiting = asyncio.create_task(confirmed.reached(head))
            await asyncio.sleep(0)
            confirmed.may_end.release()
            await waiting
            assert confirmed.commits == 1

    asyncio.run(test())


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_whoever_comes_as_a_round_ends_lets_the_loop_go_on(log: Log, turns: int) -> None:
    """At whichever turn of the loop: the round that has just ended wasn't for him."""

    async def test() -> None:
        confirmed, storage = Standby(log.url), storage_of(log.url)

        async def later(head: Head) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await confirmed.reached(head)

        async with closing(confirmed, storage):
            before = head_of(storage)
            log.ended()
            await asyncio.gather(confirmed.reached(before), later(head_of(storage)))

    # In a thread, since a loop that stands still is ended by nobody.
    loop = threading.Thread(target=lambda: asyncio.run(test()), daemon=True)
    loop.start()
    loop.join(LONGEST)
    assert not loop.is_alive()


def test_a_log_that_took_the_place_is_confirmed_anew(log: Log, tmp_path: Path) -> None:
    behind = Behind(log, tmp_path)

    async def test() -> None:
        confirmed, storage = Standby(log.url), storage_of(log.url)
        async with closing(confirmed, storage):
            log.ended()
            lost = head_of(storage)
            await confirmed.reached(lost)
            behind.take_over()
            with storage.snapshot() as rows:
                seen = confirmed.seen(rows)
            assert seen.sure == 0
            assert seen.head.position < lost.position
            await confirmed.reached(seen.head)
            assert confirmed.commits == 2

    try:
        asyncio.run(test())
    finally:
        behind.remove()


def test_a_server_that_lacks_what_was_read_elsewhere_confirms_it_not(
    postgres_url: str, tmp_path: Path
) -> None:
    """Security rule 25: what confirms may be another server than what was read from."""
    storage = storage_of(postgres_url)
    log = Log(postgres_url, open_store(storage, Vault(bytes(range(32))), "ES256"))
    behind = Behind(log, tmp_path)

    async def test(lost: Head) -> None:
        confirmed = Confirmed(storage_of(postgres_url), owned=True)
        try:
            with pytest.raises(Unavailable):
                await confirmed.reached(lost)
        finally:
            await confirmed.close()

    try:
        log.ended()
        lost = head_of(storage)
        confirm(storage, [lost])
        behind.take_over()
        with pytest.raises(Replaced):
            confirm(storage, [lost])
        asyncio.run(test(lost))
    finally:
        storage.close()
        behind.remove()


def test_a_page_of_what_was_confirmed_needs_no_commit_and_no_other_is_given(log: Log) -> None:
    """Security rule 25."""

    async def test() -> None:
        confirmed, reading = Standby(log.url), Watched(log.url)
        pages = EventPages(reading, Vault(bytes(range(32))), confirmed)
        try:
            await pages.page(EVERYTHING, Part(9, None, "asc"))
            log.ended()
            confirmed.silent = True
            commits = confirmed.commits
            assert len((await pages.page(EVERYTHING, Part(2, None, "asc"))).items) == 2
            assert len((await pages.page(EVERYTHING, Part(9, log.place(4), "desc"))).items) == 3
            assert confirmed.commits == commits
            for part in (Part(9, None, "asc"), Part(1, None, "desc"), Part(9, log.place(4), "asc")):
                with pytest.raises(Unavailable):
                    await pages.page(EVERYTHING, part)
            with pytest.raises(Unavailable):
                async with pages.lines(EVERYTHING, None, "asc"):
                    pass
        finally:
            reading.close()
            await confirmed.close()

    asyncio.run(test())
