"""The log as people see it: opened where a key is left, and found by user, type and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app import audit
from app.audit import EventItem, Wanted
from app.eventstore.log import read_head
from app.eventstore.record import record_of
from app.store import Store, open_store, storage_of
from app.timestamps import parse_rfc3339, rfc3339
from app.vault import Vault
from app.writer import Wish, Writer
from domain import commands
from domain.errors import Damage, InvalidRequest, Unavailable
from domain.events import UserErased
from domain.policy import Policy
from domain.stream import Meta, Origin, Recorded, actor_of
from tests.store.intruding import intrude, unseal
from tests.store.wishing import (
    HASH,
    IP,
    USER_AGENT,
    fail,
    log_in,
    permit,
    register,
    user_key,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MEMBERS = (
    "position stream version time type schema user_key actor request_id ip user_agent erased data"
)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(storage_of(database_url), Vault(bytes(range(32))), "ES256")
    yield opened
    opened.storage.close()


@pytest.fixture
def writer(store: Store) -> Writer:
    return Writer(store.log, store.vault, store.ring, Policy())


def wish(writer: Writer, *wishes: Wish) -> None:
    for answer in writer.commit(wishes):
        assert not isinstance(answer, Exception), answer


def read(store: Store, page: int = 3, **wanted: Any) -> list[EventItem]:
    found: list[EventItem] = []
    read_into(found, store, page, **wanted)
    return found


def read_into(found: list[EventItem], store: Store, page: int = 500, **wanted: Any) -> None:
    """As `read`, and what comes before a failure is kept."""
    for items in audit.events(store.storage, store.vault, Wanted(**wanted), page=page):
        found += items


def erase(store: Store, who: str) -> None:
    """What an erasure leaves: the event, and no key."""
    key = user_key(who)
    with store.log.append() as append:
        ((version,),) = append.rows.fetch("SELECT max(version) FROM events WHERE stream=?", (key,))
        assert isinstance(version, int)
        position, now = append.head.position + 1, append.now()
        erased = Recorded(key, version + 1, position, now, Meta("cli", "f" * 32), UserErased())
        append.write([record_of(erased)])
        append.rows.execute("DELETE FROM user_keys WHERE user_key = ?", (key,))
        append.rows.commit()


def types(items: Sequence[EventItem]) -> list[str]:
    return [item.type for item in items]


def test_an_item_has_the_members_of_the_contract_and_no_hash(store: Store, writer: Writer) -> None:
    """Security rule 19."""
    wish(writer, register("ada", "Ada.Lovelace"))
    item = read(store)[-1]
    assert list(EventItem.__struct_fields__) == MEMBERS.split()
    assert item == EventItem(
        position=4,
        stream=user_key("ada"),
        version=1,
        time=item.time,
        type="user.registered",
        schema=1,
        user_key=user_key("ada"),
        actor="anonymous",
        request_id=item.request_id,
        ip=IP,
        user_agent=USER_AGENT,
        erased=False,
        data={"user_id": "Ada.Lovelace"},
    )
    assert rfc3339(parse_rfc3339(item.time)) == item.time
    assert HASH not in repr(read(store))


def test_what_is_nobody_s_has_no_user_key_and_no_origin(store: Store) -> None:
    opened, added, activated = read(store)
    assert (opened.type, opened.stream, opened.user_key, opened.ip) == (
        "log.opened",
        "log",
        None,
        None,
    )
    assert opened.data == {"log_id": store.log_id}
    assert set(added.data) == {"kid", "algorithm", "public_jwk"}
    assert activated.data == {"kid": added.data["kid"], "from": activated.time}


def test_times_within_data_are_texts_too(store: Store, writer: Writer) -> None:
    wish(writer, register("ada"), log_in("ada", "one"), fail("ada"))
    *_, logged_in, issued, failed = read(store)
    session = logged_in.data["session_id"]
    assert logged_in.data == {"session_id": session, "by": "secret"}
    year = parse_rfc3339(logged_in.time) + 365 * 86_400 * 1_000_000
    assert issued.data == {"session_id": session, "expires_at": rfc3339(year)}
    assert failed.data == {"count": 3, "first_at": rfc3339(1), "last_at": rfc3339(2)}


def test_an_origin_is_opened_with_the_key_of_whoever_acted(store: Store, writer: Writer) -> None:
    wish(writer, register("ada"), register("root"))
    origin = Origin("198.51.100.9", "admin-tool").clear()
    meta = Meta(actor_of(user_key("root")), "a" * 32, origin)
    wish(writer, Wish(commands.SetPermissions(user_key("ada"), ("users:read",)), meta))
    item = read(store)[-1]
    assert (item.user_key, item.actor) == (user_key("ada"), actor_of(user_key("root")))
    assert (item.ip, item.user_agent) == ("198.51.100.9", "admin-tool")
    erase(store, "root")
    item = next(each for each in read(store) if each.position == item.position)
    assert (item.ip, item.user_agent, item.erased) == (None, None, True)
    assert item.data == {"permissions": ("users:read",)}


def test_an_erased_person_s_events_stay_and_say_so(store: Store, writer: Writer) -> None:
    wish(writer, register("ada"), log_in("ada", "one"), register("bob"))
    erase(store, "ada")
    items = read(store)
    of_ada = [item for item in items if item.user_key == user_key("ada")]
    assert types(of_ada) == [
        "user.registered",
        "user.logged_in",
        "refresh_token.issued",
        "user.erased",
    ]
    assert all(item.erased and item.ip is None for item in of_ada)
    assert of_ada[0].data == {"user_id": None}
    (of_bob,) = [item for item in items if item.user_key == user_key("bob")]
    assert (of_bob.erased, of_bob.data) == (False, {"user_id": "bob"})


def test_a_key_that_is_missing_without_an_erasure_is_damage(store: Store, writer: Writer) -> None:
    wish(writer, register("ada"), register("bob"))
    with store.storage.transaction() as rows:
        rows.execute("DELETE FROM user_keys WHERE user_key = ?", (user_key("bob"),))
        rows.commit()
    found: list[EventItem] = []
    with pytest.raises(Damage, match=user_key("bob")):
        read_into(found, store)
    assert types(found)[-1] == "user.registered"
    assert found[-1].user_key == user_key("ada")


def test_a_blob_of_another_event_is_damage(store: Store, writer: Writer, database_url: str) -> None:
    wish(writer, register("ada"), log_in("ada", "one"), log_in("ada", "two"))
    with store.storage.transaction() as rows:
        unseal(rows, store.storage.kind)
        rows.execute(
            "UPDATE events SET sealed = (SELECT e.sealed FROM events e WHERE e.position = 5) "
            "WHERE position = 7"
        )
        rows.commit()
    with pytest.raises(Damage, match="belongs elsewhere"):
        read(store)


def test_an_event_of_a_newer_release_is_told_after_what_comes_before(
    store: Store, writer: Writer, database_url: str
) -> None:
    wish(writer, register("ada"))
    with intrude(database_url) as intruder:
        intruder.run(
            "INSERT INTO events SELECT 5, stream, 2, 'user.levitated', schema, time, clear, "
            "sealed, chain FROM events WHERE position = 4"
        )
    found: list[EventItem] = []
    with pytest.raises(Unavailable, match=r"user\.levitated.*Upgrade"):
        read_into(found, store)
    assert [item.position for item in found] == [1, 2, 3, 4]


@pytest.mark.parametrize("page", [1, 2, 500])
def test_events_are_found_by_user_type_and_both(store: Store, writer: Writer, page: int) -> None:
    wish(writer, register("ada"), register("bob"))
    for each in range(3):
        wish(writer, log_in("ada", f"a{each}"), log_in("bob", f"b{each}"))
    everything = read(store, page)
    assert [item.position for item in everything] == list(range(1, 18))
    ada = user_key("ada")
    assert read(store, page, user_key=ada) == [e for e in everything if e.user_key == ada]
    logins = [e for e in everything if e.type == "user.logged_in"]
    assert read(store, page, type="user.logged_in") == logins
    both = read(store, page, type="user.logged_in", user_key=ada)
    assert both == [e for e in logins if e.user_key == ada]
    assert len(both) == 3
    assert read(store, page, user_key=user_key("nobody")) == []


@pytest.mark.parametrize("filters", [{}, {"user_key": user_key("ada")}])
def test_since_includes_and_until_excludes(
    store: Store, writer: Writer, filters: dict[str, Any]
) -> None:
    wish(writer, register("ada"))
    wish(writer, log_in("ada", "one"))  # two events of one time
    wish(writer, permit("ada", "users:read"))
    everything = read(store, **filters)
    times = [parse_rfc3339(item.time) for item in everything]
    for moment in {*times, times[0] - 1, times[-1] + 1, times[-2] + 1}:
        since = [item for item, at in zip(everything, times, strict=True) if at >= moment]
        until = [item for item, at in zip(everything, times, strict=True) if at < moment]
        assert read(store, **filters, since=moment) == since
        assert read(store, **filters, until=moment) == until
    assert read(store, **filters, since=times[-1], until=times[0]) == []


def test_a_rare_type_is_looked_for_a_part_of_the_log_at_a_time(
    store: Store, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "SPAN", 2)
    wish(writer, register("ada"), log_in("ada", "one"), log_in("ada", "two"), fail("ada"))
    assert types(read(store, type="user.login_failed")) == ["user.login_failed"]
    with store.storage.snapshot() as rows:
        head = read_head(rows).position
        page = audit.read_page(rows, store.vault, Wanted(type="user.login_failed"), 0, head, 5)
    assert (page.items, page.reached) == ([], 2)


def test_an_unknown_type_is_refused_with_the_nearest() -> None:
    assert audit.check_type("user.erased") == "user.erased"
    with pytest.raises(InvalidRequest) as refusal:
        audit.check_type("user.loged_in")
    assert "user.logged_in" in refusal.value.faults[0].detail
