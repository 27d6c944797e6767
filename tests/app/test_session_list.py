"""The live sessions of a user, page by page, on each kind of store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.opening import Opener
from app.paging import Page, Part
from app.session_list import SessionItem, SessionList
from app.store import Store, open_store, storage_of
from app.timestamps import parse_rfc3339, rfc3339
from app.vault import Vault
from app.writer import Wish, Writer
from domain import commands
from domain.errors import InvalidRequest
from domain.policy import DAY, Policy
from domain.stream import Meta, Origin, actor_of
from tests.store.wishing import IP, USER_AGENT, end, log_in, register, session_id, user_key

POLICY = Policy(session_idle=10 * DAY, session_max=25 * DAY)
LABELS = ("a", "b", "c", "d", "e")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(storage_of(database_url), Vault(bytes(range(32))), "ES256")
    yield opened
    opened.storage.close()


@pytest.fixture
def writer(store: Store) -> Writer:
    writer = Writer(store.log, store.vault, store.ring, POLICY)
    logins = [log_in("ada", label) for label in LABELS]
    writer.commit([register("ada"), register("eve"), *logins, log_in("eve", "x")])
    return writer


@pytest.fixture
def sessions(store: Store, writer: Writer) -> SessionList:
    return SessionList(Opener(store.vault), POLICY)


def page(
    store: Store,
    sessions: SessionList,
    part: Part,
    *,
    later: int = 0,
    who: str = "ada",
    current: str | None = None,
) -> Page[SessionItem]:
    with store.storage.transaction() as rows:
        return sessions.page(rows, user_key(who), part, rows.clock() + later, current)


def labels(found: Page[SessionItem]) -> str:
    known = {session_id("ada", label): label for label in (*LABELS, "s")}
    return "".join(known[each.session_id] for each in found.items)


def test_the_sessions_are_in_the_order_of_their_start(store, sessions) -> None:
    assert labels(page(store, sessions, Part())) == "abcde"
    assert labels(page(store, sessions, Part(order="desc"))) == "edcba"
    assert len(page(store, sessions, Part(), who="eve").items) == 1
    assert page(store, sessions, Part(), who="nobody") == Page([], None)


@pytest.mark.parametrize("limit", [1, 2, 4, 5])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_each_place_leads_on(store, sessions, limit, order) -> None:
    after, pages = None, []
    while True:
        found = page(store, sessions, Part(limit, after, order))
        pages.append(labels(found))
        if found.next is None:
            break
        after = found.next
    assert "".join(pages) == ("abcde" if order == "asc" else "edcba")
    assert all(len(each) == limit for each in pages[:-1])
    assert pages[-1]  # a last page is never empty


def test_an_item_says_when_and_from_where(store, sessions) -> None:
    current = session_id("ada", "b")
    first, second, *_ = page(store, sessions, Part(), current=current).items
    assert (first.current, second.current) == (False, True)
    assert (first.ip, first.user_agent, first.kind) == (IP, USER_AGENT, "user")
    assert first.last_used_at == first.started_at
    started = parse_rfc3339(first.started_at)
    assert first.expires_at == rfc3339(started + POLICY.session_idle)


def test_a_use_moves_the_end_up_to_the_absolute_limit(store, sessions, writer) -> None:
    key, session = user_key("ada"), session_id("ada", "a")
    meta = Meta(actor_of(key), "0" * 32, Origin("192.0.2.9", None).clear())
    writer.commit([Wish(commands.RecordUse(key, session, 1, "first"), meta)])
    item = page(store, sessions, Part(1)).items[0]
    assert (item.ip, item.user_agent) == ("192.0.2.9", None)
    assert item.last_used_at > item.started_at
    used = parse_rfc3339(item.last_used_at)
    assert item.expires_at == rfc3339(used + POLICY.session_idle)


def test_what_has_ended_or_rested_too_long_is_not_among_them(store, sessions, writer) -> None:
    writer.commit([end("ada", "b"), end("ada", "d")])
    assert labels(page(store, sessions, Part())) == "ace"
    assert labels(page(store, sessions, Part(), later=POLICY.session_idle - DAY)) == "ace"
    assert labels(page(store, sessions, Part(), later=POLICY.session_idle)) == ""


def test_the_service_session_is_told_apart(store, sessions, writer) -> None:
    writer.commit([log_in("ada", "s", "client_credentials")])
    last = page(store, sessions, Part(1, order="desc")).items[0]
    assert (last.session_id, last.kind) == (session_id("ada", "s"), "service")


@pytest.mark.parametrize(
    "after", ["", "1", "x", "1-", f"-1-{'0' * 22}", f"1-{'0' * 21}", f"1-{'0' * 22} ", "0-\x00"]
)
def test_what_is_no_place_is_refused(store, sessions, after) -> None:
    with pytest.raises(InvalidRequest) as caught:
        page(store, sessions, Part(after=after))
    assert [fault.pointer for fault in caught.value.faults] == ["/after"]
