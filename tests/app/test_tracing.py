"""What became of a token, in each of its lives, and that looking changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from app import tracing
from app.administration import Directory
from app.opening import Opener
from app.store import Store, open_store, storage_of
from app.timestamps import parse_rfc3339
from app.tracing import TraceItem, Tracing, recognised
from app.vault import Vault
from app.writer import Wish, Writer
from domain import commands
from domain.errors import Damage, NotFound, Unavailable
from domain.events import UserErased
from domain.policy import DAY, Policy
from domain.refresh_token import format_refresh_token
from domain.stream import Meta, Origin, actor_of
from tests.app.living import Author, Fact
from tests.store.intruding import intrude
from tests.store.wishing import (
    IP,
    USER_AGENT,
    end,
    log_in,
    permit,
    present,
    register,
    rotate,
    session_id,
    use,
    user_key,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.commands import UseReason
    from projections.storage import Row

ADA: Final = user_key("ada")
ONE: Final = session_id("ada", "one")
THIEF: Final = ("198.51.100.66", "stolen/1.0")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(storage_of(database_url), Vault(bytes(range(32))), "ES256")
    yield opened
    opened.storage.close()


@pytest.fixture
def writer(store: Store) -> Writer:
    """One in whose eyes every retired token is reused, once its successor was used."""
    made = Writer(store.log, store.vault, store.ring, Policy())
    stored(made, register("ada", "Ada"), register("bob"), log_in("ada", "one"))
    stored(made, log_in("bob", "his"), log_in("ada", "two"))
    return made


def stored(writer: Writer, *wishes: Wish) -> None:
    for answer in writer.commit(list(wishes)):
        assert not isinstance(answer, Exception), answer


def elsewhere(wish: Wish) -> Wish:
    """The same from where a thief is."""
    wish.meta = Meta(wish.meta.actor, "e" * 32, Origin(*THIEF).clear())
    return wish


def token(store: Store, generation: int = 1, session: str = ONE) -> str:
    return format_refresh_token(session, generation, store.ring.refresh)


def traced(
    store: Store, generation: int = 1, session: str = ONE, now: int | None = None
) -> TraceItem:
    by = Tracing(store, Directory(Opener(store.vault), store.ring, Policy()), Policy())
    shown = recognised(token(store, generation, session), store.ring.refresh)
    passed: list[int] = []
    head = by.head()
    found = by.find(session) or by.look_through(session, head, lambda _: None)
    item = by.trace(shown, found, head, now or _newest(store), passed.append)
    assert sum(passed) <= head - found.after
    return item


def _newest(store: Store) -> int:
    with store.storage.snapshot() as rows:
        ((time,),) = rows.fetch("SELECT max(time) FROM events")
    assert isinstance(time, int)
    return time


def types(item: TraceItem) -> list[str]:
    return [each.type.removeprefix("refresh_token.") for each in item.events]


def test_a_current_token(store: Store, writer: Writer) -> None:
    stored(writer, use("ada", "one"), permit("ada", "reports:read"))
    item = traced(store)
    assert (item.user_key, item.user_id, item.session_id, item.kind) == (ADA, "Ada", ONE, "user")
    assert (item.token, item.generation, item.current_generation) == ("current", 1, 1)
    assert (item.session, item.ended_at, item.ended_why, item.retired_at) == (
        "live",
        None,
        None,
        None,
    )
    assert types(item) == ["user.logged_in", "issued", "used"]
    began, _, used = item.events
    assert (item.started_at, item.last_used_at) == (began.time, used.time)
    assert parse_rfc3339(item.expires_at) == parse_rfc3339(began.time) + 365 * DAY
    (address,) = item.addresses
    assert (address.ip, address.user_agent, address.count) == (IP, USER_AGENT, 2)
    assert (address.first_at, address.last_at) == (began.time, used.time)


def test_a_retired_token_and_its_successor(store: Store, writer: Writer) -> None:
    stored(writer, rotate("ada", "one"), elsewhere(rotate("ada", "one", 2)))
    first, second, third, never = (traced(store, generation) for generation in (1, 2, 3, 4))
    assert [each.token for each in (first, second, third, never)] == [
        "retired",
        "retired",
        "current",
        "unissued",
    ]
    assert {each.session for each in (first, second, third, never)} == {"live"}
    assert {each.current_generation for each in (first, second, third, never)} == {3}
    *_, one, two = first.events
    assert [each.retired_at for each in (first, second, third)] == [one.time, two.time, None]
    assert [(each.ip, each.count) for each in first.addresses] == [(IP, 2), (THIEF[0], 1)]
    assert first.events == second.events == third.events


def test_a_repeat_and_its_address(store: Store, writer: Writer) -> None:
    stored(writer, rotate("ada", "one"), elsewhere(present("ada", "one")))
    item = traced(store)
    assert types(item) == ["user.logged_in", "issued", "rotated", "repeated"]
    assert (item.session, item.addresses[-1].ip) == ("live", THIEF[0])
    assert item.last_used_at == item.events[-1].time


def test_a_reused_token_ended_its_session(store: Store, writer: Writer) -> None:
    stored(writer, rotate("ada", "one"), rotate("ada", "one", 2), elsewhere(present("ada", "one")))
    item = traced(store)
    assert (item.token, item.session, item.ended_why) == ("retired", "ended", "reuse")
    assert types(item)[-2:] == ["reuse_detected", "revoked"]
    assert item.ended_at == item.events[-1].time
    assert (item.addresses[-1].ip, item.addresses[-1].user_agent) == THIEF
    assert traced(store, 3).token == "current"
    assert traced(store, 3).session == "ended"


def test_a_session_that_somebody_else_ended(store: Store, writer: Writer) -> None:
    wish = end("ada", "one", "admin")
    wish.meta = Meta(actor_of(user_key("bob")), "b" * 32, Origin("192.0.2.200", "desk").clear())
    stored(writer, wish, permit("ada", "reports:read"))
    item = traced(store)
    assert (item.session, item.ended_why, types(item)[-1]) == ("ended", "admin", "revoked")
    # From where it was ended is in the event, and is no address of the token's.
    assert item.events[-1].ip == "192.0.2.200"
    assert [each.ip for each in item.addresses] == [IP]


def test_a_session_that_ran_out(store: Store, writer: Writer) -> None:
    begun = parse_rfc3339(traced(store).started_at)
    assert traced(store, now=begun + 30 * DAY - 1).session == "live"
    assert traced(store, now=begun + 30 * DAY).session == "expired"


def test_a_service_session(store: Store, writer: Writer) -> None:
    stored(writer, log_in("bob", "program", "client_credentials"))
    item = traced(store, session=session_id("bob", "program"))
    assert (item.kind, item.user_id) == ("service", "bob")


def test_an_erased_person_s_token(store: Store, writer: Writer) -> None:
    author = Author(store)
    stored(writer, use("ada", "one"))
    author.versions[ADA] = 6
    author.keys[ADA] = bytes(32)
    author.write(Fact(ADA, author.next_time, UserErased()))
    item = traced(store)
    assert (item.user_id, item.session, item.ended_why) == (None, "ended", "erased")
    assert (item.addresses, types(item)[-1]) == ([], "user.erased")
    assert all(each.erased and each.ip is None for each in item.events)


@pytest.mark.parametrize("span", [1, 4, 20_000])
def test_a_session_that_left_the_view_is_found_in_the_log(
    store: Store, writer: Writer, monkeypatch: pytest.MonkeyPatch, span: int
) -> None:
    stored(writer, use("ada", "one"), end("ada", "one"))
    before = traced(store)
    with store.storage.transaction() as rows:
        rows.execute("DELETE FROM token_lookup_v1")
        rows.commit()
    monkeypatch.setattr(tracing, "SPAN", span)
    assert traced(store) == before
    by = Tracing(store, Directory(Opener(store.vault), store.ring, Policy()), Policy())
    passed: list[int] = []
    head = by.head()
    with pytest.raises(NotFound, match="isn't in this log"):
        by.look_through(session_id("ada", "never"), head, passed.append)
    assert sum(passed) == head


def test_what_is_not_ours_is_not_recognised(store: Store) -> None:
    mine = store.ring.refresh
    assert recognised(token(store), mine).session_id == ONE
    for text in ("", "gbr_", token(store)[:-1], token(store) + "\n", f" {token(store)}", "eyJ.a.b"):
        with pytest.raises(NotFound, match="no refresh token"):
            recognised(text, mine)
    with pytest.raises(NotFound, match="not made by this service"):
        recognised(format_refresh_token(ONE, 1, bytes(32)), mine)
    with pytest.raises(NotFound, match="not made by this service"):
        recognised(format_refresh_token(ONE, 0, mine), mine)


def held(store: Store) -> list[list[Row]]:
    """What a use or a reuse would change."""
    tables = ("events ORDER BY position", "token_lookup_v1 ORDER BY session_id", "store", "views")
    with store.storage.snapshot() as rows:
        return [rows.fetch(f"SELECT * FROM {each}") for each in tables]


def test_looking_at_a_token_is_no_use_of_it(store: Store, writer: Writer) -> None:
    stored(writer, rotate("ada", "one"), rotate("ada", "one", 2))
    before = held(store)
    for generation in (1, 2, 3, 4):
        traced(store, generation)
    assert held(store) == before
    stored(writer, use("ada", "two"))
    assert held(store) != before


def test_what_can_t_be_read_is_told(store: Store, writer: Writer, database_url: str) -> None:
    assert msgspec.structs.asdict(traced(store))["token"] == "current"
    with intrude(database_url) as intruder:
        intruder.run(
            "UPDATE token_lookup_v1 SET user_key = ? WHERE session_id = ?", (user_key("bob"), ONE)
        )
    with pytest.raises(Damage, match="not in the log"):
        traced(store)
    with intrude(database_url) as intruder:
        intruder.run("UPDATE token_lookup_v1 SET user_key = ? WHERE session_id = ?", (ADA, ONE))
        intruder.run(
            "INSERT INTO events SELECT 12, stream, 6, 'user.levitated', schema, time, clear, "
            "sealed, chain FROM events WHERE position = 4"
        )
    with pytest.raises(Unavailable, match="Upgrade"):
        traced(store)


def test_every_recorded_use_and_its_address_is_told(store: Store, writer: Writer) -> None:
    reasons: tuple[UseReason, ...] = ("first", "every", "every")
    for each, reason in enumerate(reasons):
        command = commands.RecordUse(ADA, ONE, 1, reason)
        origin = Origin(f"192.0.2.{each}", "browser").clear()
        stored(writer, Wish(command, Meta(actor_of(ADA), "c" * 32, origin)))
    item = traced(store)
    assert types(item)[2:] == ["used", "used", "used"]
    assert [each.ip for each in item.addresses] == [IP, "192.0.2.0", "192.0.2.1", "192.0.2.2"]
