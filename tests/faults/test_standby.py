"""PostgreSQL with a standby: what is answered with success is on both disks, and what is told.

The long proofs of `tests.prove` about it in their short form, and some cases by themselves.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from app.bootstrap import composed, open_writer
from app.caller import Caller
from app.eventstore.log import read_head
from app.settings import load
from app.store import storage_of
from app.writer import Writer
from domain.errors import Unavailable
from domain.events import RefreshTokenRevoked
from domain.policy import Policy
from domain.refresh_token import format_refresh_token
from tests.faults.followers import Followers
from tests.faults.holding import holds
from tests.postgres_pair import PostgresPair
from tests.prove import cut_off, failover, restarted
from tests.prove.proxy import Proxy
from tests.prove.stored import by_session, check_log, opened
from tests.prove.tally import Tally
from tests.running import settings
from tests.store.wishing import IP, USER_AGENT, commit, end, log_in, register, session_id, use
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.eventstore.log import Head
    from app.store import Store
    from app.writer import Answer, Wish
    from domain.stream import Recorded

_WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


class Waiting:
    """A change whose commit waits for a standby that hears nothing; and another process."""

    def __init__(
        self,
        pair: PostgresPair,
        wire: Proxy,
        url: str,
        writers: tuple[Writer, Writer],
        change: Wish,
    ) -> None:
        self.pair, self.wire, self.url = pair, wire, url
        writer, self.other = writers
        self.answers: list[Answer] = []
        self._thread = threading.Thread(target=lambda: self.answers.extend(writer.commit([change])))
        self._thread.start()
        until(lambda: len(self.waiting) == 1)

    @property
    def waiting(self) -> list[tuple[object, ...]]:
        """Which of the primary's processes wait for the standby."""
        return self.pair.primary.psql(_WAITING)

    def interrupt(self, how: str) -> None:
        """What ends the wait: all see the change then. Nobody may be answered before it waits anew.

        The writer looks for what became of it, finds it, and waits for the standby once more.
        """
        before = self.waiting
        if how == "restart":
            self.pair.primary.restart("immediate")
        else:
            self.pair.primary.psql(f"SELECT pg_{how}_backend({before[0][0]})")
        until(lambda: self.answers or self.waiting not in ([], before))
        assert self.answers == []

    def answer(self) -> Answer:
        """What became of it; the standby hears everything from now on."""
        self.wire.mend()
        self._thread.join()
        (answer,) = self.answers
        return answer


@contextmanager
def waiting(change: Wish) -> Iterator[Waiting]:
    """Have a change wait, after ada has logged in."""
    with PostgresPair() as pair, Proxy("127.0.0.1", pair.primary.port) as wire:
        pair.through = {pair.primary.port: wire.port}
        pair.rejoin()
        url = pair.create_database()
        with opened(url) as one, opened(url) as two:
            writers = writer_on(one), writer_on(two)
            commit(writers[0], [register("ada"), log_in("ada", "first"), log_in("ada", "second")])
            wire.hold()
            try:
                yield Waiting(pair, wire, url, writers, change)
            finally:
                wire.mend()


def writer_on(store: Store) -> Writer:
    return Writer(store.log, store.vault, store.ring, Policy())


HOWS = ("cancel", "terminate", "restart")


def ended(how: str) -> pytest.MarkDecorator:
    """By what the wait is ended; by the others in the long form."""
    others = (pytest.param(each, marks=pytest.mark.long) for each in HOWS if each != how)
    return pytest.mark.parametrize("how", [how, *others])


@ended("restart")
def test_a_commit_whose_wait_was_ended_counts_once_the_standby_has_it(how: str) -> None:
    """Security rules 25 and 26: PostgreSQL says COMMIT all the same, or lets all see it."""
    with waiting(log_in("ada", "unheard")) as change:
        change.interrupt(how)
        change.pair.fail_over()
        answer = change.answer()
        log = check_log(change.url, tally := Tally())
    stored = by_session(log).get(session_id("ada", "unheard"), [])
    assert tally.first == []
    assert bool(stored) is not isinstance(answer, Exception)


@ended("terminate")
def test_what_is_so_already_is_no_success_before_the_standby_has_it(how: str) -> None:
    """Security rules 25 and 26: whoever repeats what he was answered 503 for is told as much."""
    again: list[Answer] = []
    with waiting(end("ada", "first")) as change:
        change.interrupt(how)
        repeated = [end("ada", "first")]
        thread = threading.Thread(target=lambda: again.extend(change.other.commit(repeated)))
        thread.start()
        until(lambda: again or len(change.waiting) == 2)
        assert again == []
        assert not isinstance(change.answer(), Exception)
        thread.join()
        assert again == [()]


@ended("cancel")
def test_a_use_whose_wait_was_ended_gives_nothing_before_the_standby_has_it(how: str) -> None:
    """Security rules 25 and 26: its successor's first use is what makes the token before it old."""
    got: list[str] = []
    with waiting(use("ada", "first")) as change:
        change.interrupt(how)
        asked = threading.Thread(target=lambda: got.append(asyncio.run(refreshed(change.url))))
        asked.start()
        until(lambda: got or len(change.waiting) == 2)
        assert got == []
        change.answer()
        asked.join()
        assert got == ["granted"]


async def refreshed(url: str) -> str:
    """What another process, which begins with this, answers a use that was recorded before."""
    given = load(settings(url)).settings
    async with AsyncExitStack() as stack:
        store = stack.enter_context(opened(url))
        service = composed(given, store, open_writer(store, given), stack)
        service.dispatcher.start()
        stack.push_async_callback(service.dispatcher.stop)
        token = format_refresh_token(session_id("ada", "first"), 1, store.ring.refresh)
        while True:
            with suppress(Unavailable):
                await service.refresh_tokens.refresh(token, Caller("0" * 32, IP, USER_AGENT))
                return "granted"


@ended("terminate")
def test_an_end_whose_wait_was_ended_is_told_to_nobody_before_the_standby_has_it(how: str) -> None:
    """Security rule 25: after the fail-over another event has its position."""
    with waiting(end("ada", "first")) as change, Followers(change.url, head(change.url)) as heard:
        place = head(change.url).position + 1
        change.interrupt(how)
        until(lambda: head(change.url).position == place)
        heard.look()
        assert heard.ends == heard.events == {}
        change.pair.fail_over()
        commit(change.other, [end("ada", "second")])
        change.answer()
        log = check_log(change.url, tally := Tally())
        ended = {each.position: session_of(each) for each in log if each.position >= place}
        assert session_id("ada", "second") in ended.values()
        assert place in ended
        until(lambda: (heard.ends, heard.events), (ended, ended).__eq__)
    assert tally.first == []


def head(url: str) -> Head:
    with closing(storage_of(url)) as storage, storage.snapshot() as rows:
        return read_head(rows)


def session_of(recorded: Recorded) -> str:
    assert isinstance(recorded.event, RefreshTokenRevoked)
    return recorded.event.session_id


def test_a_restarted_postgresql_costs_a_503_and_nothing_else(postgres_url: str) -> None:
    """Security rule 27, in its short form."""
    holds(restarted, postgres_url)


def test_a_wire_that_is_cut_silent_or_slow_costs_a_503_and_nothing_else(postgres_url: str) -> None:
    """Security rule 27, in its short form."""
    holds(cut_off, postgres_url)


def test_a_failover_to_a_synchronous_standby_loses_nothing(postgres_url: str) -> None:
    """Security rules 25 and 30, in their short form."""
    holds(failover, postgres_url)
