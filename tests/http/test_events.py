"""GET /events: the log by user, type and time, in both directions, and all of it as lines."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

from app import audit, event_pages
from app.paging import MAX_LIMIT
from app.timestamps import parse_rfc3339
from domain.catalogue import EVENTS
from tests.http.people import People, Person, walk
from tests.http.steps import SECRET, authenticate, problem
from tests.http.test_history import MEMBERS, place
from tests.store.intruding import unseal

if TYPE_CHECKING:
    from tests.http.conftest import Starting

LINES = "application/x-ndjson"
NOBODY = "uk_00000000000000000000000000"


@pytest.fixture
def root(people: People) -> Person:
    """Somebody who may read events, in a log with something of each of two others."""
    root = people.new("events:read")
    ada, eve = people.new(), people.new()
    ada.log_in()
    ada.delete("/sessions")
    eve.log_in()
    return root


def page(person: Person, **query: Any) -> dict[str, Any]:
    answer = person.get(f"/events?{httpx.QueryParams(query)}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["vary"] == "Accept"
    assert set(answer.json()) == {"items", "next"}
    return answer.json()


def whole(person: Person) -> list[dict[str, Any]]:
    """The log, oldest first; nobody writes it meanwhile."""
    return walk(person, f"/events?limit={MAX_LIMIT}")


def lines(person: Person, **query: Any) -> list[dict[str, Any]]:
    answer = person.get(f"/events?{httpx.QueryParams(query)}", Accept=LINES)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == LINES
    assert answer.headers["vary"] == "Accept"
    assert answer.headers.get_list("cache-control") == ["no-store"]
    assert answer.text.endswith("\n") or not answer.text
    return [json.loads(each) for each in answer.text.split("\n")[:-1]]


def filters(items: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Every combination of a user, a type and times, with those that find nothing."""
    users = [None, items[-1]["user_key"], items[-9]["user_key"], NOBODY]
    types = [None, "user.logged_in", "log.opened", "user.erased"]
    moments = [None, items[len(items) // 2]["time"], items[-1]["time"]]
    return [
        {name: value for name, value in given.items() if value is not None}
        for given in (
            dict(zip(("user_key", "type", "since", "until"), each, strict=True))
            for each in itertools.product(users, types, moments, moments)
        )
    ]


def fits(item: dict[str, Any], wanted: dict[str, str]) -> bool:
    since, until = (
        parse_rfc3339(wanted[name]) if name in wanted else None for name in ("since", "until")
    )
    time = parse_rfc3339(item["time"])
    return (
        item["user_key"] == wanted.get("user_key", item["user_key"])
        and item["type"] == wanted.get("type", item["type"])
        and (since is None or time >= since)
        and (until is None or time < until)
    )


def test_the_whole_log_is_told_oldest_first(people: People, root: Person) -> None:
    items = whole(root)
    assert [each["position"] for each in items] == list(range(1, len(items) + 1))
    assert {frozenset(each) for each in items} == {frozenset(MEMBERS)}
    assert items[0]["type"] == "log.opened"
    assert {each["type"] for each in items} <= set(EVENTS)
    of_root = [each for each in items if each["user_key"] == root.user_key]
    assert of_root == [json.loads(msgspec.json.encode(each)) for each in root.history()]


def test_pages_lead_to_every_event_that_is_wanted_and_no_other(
    root: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = whole(root)
    for wanted in filters(items):
        expected = [each for each in items if fits(each, wanted)]
        query = str(httpx.QueryParams(wanted))
        limit = max(1, len(expected) // 2)
        assert walk(root, f"/events?{query}&limit={limit}") == expected, wanted
        back = walk(root, f"/events?{query}&limit={limit}&order=desc")
        assert back == expected[::-1], wanted


def test_lines_are_the_same_events_as_pages(root: Person) -> None:
    items = whole(root)
    for wanted in filters(items)[::3]:
        expected = [each for each in items if fits(each, wanted)]
        assert lines(root, **wanted) == expected, wanted
        assert lines(root, **wanted, order="desc") == expected[::-1], wanted


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_place_is_where_pages_and_lines_go_on(people: People, root: Person, order: str) -> None:
    items = whole(root)
    for position in (0, 1, 5, len(items) - 1, len(items)):
        rest = items[position:] if order == "asc" else items[: max(0, position - 1)][::-1]
        after = place(people, position)
        assert page(root, after=after, order=order, limit=MAX_LIMIT)["items"] == rest
        assert lines(root, after=after, order=order) == rest


def test_a_page_with_nothing_after_it_has_no_next(people: People, root: Person) -> None:
    items = whole(root)
    last = page(root, after=place(people, len(items) - 2), limit=2)
    assert (last["items"], last["next"]) == (items[-2:], None)
    again = page(root, after=place(people, len(items)))
    assert again == {"items": [], "next": None}
    root.log_in()
    caught_up = page(root, after=place(people, len(items)))
    assert [each["type"] for each in caught_up["items"]] == [
        "user.logged_in",
        "refresh_token.issued",
    ]


def test_what_happens_meanwhile_doesn_t_disturb_a_walk(root: Person) -> None:
    before = whole(root)
    limit = len(before) // 3
    back = walk(root, f"/events?limit={limit}&order=desc", meanwhile=root.again)
    assert back == before[::-1]
    forth = walk(root, f"/events?limit={limit}", meanwhile=root.again)
    assert [each["position"] for each in forth] == list(range(1, len(forth) + 1))


def test_a_time_may_have_an_offset_or_be_a_date(root: Person) -> None:
    items = whole(root)
    moment = items[-3]["time"]
    later = [each for each in items if each["time"] >= moment]
    assert lines(root, since=moment.replace("Z", "+00:00")) == later
    assert lines(root, since=moment[:10])[-1] == items[-1]
    assert lines(root, until="2020-02-29") == []


@pytest.mark.parametrize(
    ("query", "pointer", "why"),
    [
        ("after=17", "/after", "LOG_ID:POSITION"),
        ("after=no", "/after", "LOG_ID:POSITION"),
        ("user_key=ada", "/user_key", "uk_"),
        (f"user_key={NOBODY.upper()}", "/user_key", "uk_"),
        ("user_key=signing_keys", "/user_key", "uk_"),
        ("user_key=", "/user_key", "uk_"),
        ("type=", "/type", "no such event"),
        ("since=", "/since", "2026-11-23T17:08:32Z"),
        ("until=", "/until", "2026-11-23T17:08:32Z"),
        ("type=user.loged_in", "/type", "user.logged_in"),
        ("since=yesterday", "/since", "2026-11-23T17:08:32Z"),
        ("since=2026-11-23T17:08:32", "/since", "2026-11-23T17:08:32Z"),
        ("until=2026-11-23T17:08:32+01:00", "/until", "%2B"),
        ("until=2026-13-01", "/until", "2026-11-23T17:08:32Z"),
        ("limit=0", "/limit", ""),
        ("limit=1001", "/limit", ""),
        ("order=down", "/order", ""),
        ("user=ada", "/user", "no such parameter"),
        ("type=user.logged_in&type=user.erased", "/type", "repeated"),
    ],
)
def test_a_wrong_parameter_is_named(root: Person, query: str, pointer: str, why: str) -> None:
    for accept in ("*/*", LINES):
        body = problem(
            root.get(f"/events?{query}", Accept=accept), 400, "invalid_request", "errors"
        )
        assert body["errors"][0]["pointer"] == pointer
        assert why in body["errors"][0]["detail"]


def test_lines_have_no_limit(root: Person) -> None:
    answer = root.get("/events?limit=5", Accept=LINES)
    assert problem(answer, 400, "invalid_request", "errors")["errors"][0]["pointer"] == "/limit"
    assert len(root.get("/events?limit=5", Accept=f"{LINES};q=0.1, */*").json()["items"]) == 5


@pytest.mark.parametrize("refused", ["q=0", "q=0.000", "Q=0", "a=b; q=0"])
def test_lines_that_are_not_accepted_are_not_sent(root: Person, refused: str) -> None:
    """RFC 9110 §12.4.2."""
    for accept in (
        f"{LINES};{refused}",
        f"{LINES}; {refused}, */*",
        f"text/html, {LINES};{refused}",
    ):
        answer = root.get("/events?limit=5", Accept=accept)
        assert answer.headers["content-type"] == "application/json"
        assert len(answer.json()["items"]) == 5
    assert lines_by(root, f"*/*;{refused}, {LINES};q=0.01")


def lines_by(person: Person, accept: str) -> bool:
    answer = person.get("/events", Accept=accept)
    return bool(answer.headers["content-type"] == LINES)


def test_a_place_of_another_log_or_beyond_the_head_is_told(people: People, root: Person) -> None:
    for after in (place(people, 1, "A" * 22), place(people, 10**12)):
        for accept in ("*/*", LINES):
            for order in ("asc", "desc"):
                answer = root.get(f"/events?after={after}&order={order}", Accept=accept)
                problem(answer, 409, "log_changed")


def test_only_who_may_read_events_does(people: People) -> None:
    """Security rule 16: the permission is named, and one taken away stops working at once."""
    assert people.new("admin").get("/events?limit=1").status_code == 200
    ada = people.new("users:read", "events:write")
    for path in ("/events", "/events/stream"):
        body = problem(ada.get(path), 403, "insufficient_permission", "permission")
        assert body["permission"] == "events:read"
        problem(people.client.get(path), 401, "invalid_token")
    eve = people.new("events:read")
    assert eve.get("/events?limit=1").status_code == 200
    root = people.new("admin")
    assert root.put(f"{eve.at}/permissions", {"permissions": []}).status_code == 200
    problem(eve.get("/events?limit=1"), 403, "insufficient_permission", "permission")
    problem(eve.get("/events", Accept=LINES), 403, "insufficient_permission", "permission")


def test_an_administrator_sees_from_where_everybody_acted(people: People, root: Person) -> None:
    ada = people.new()
    ada.log_in(**{"User-Agent": "a phone", "X-Forwarded-For": "192.0.2.7"})
    boss = people.new("admin")
    boss.post(f"{ada.at}/disable")
    items = lines(root, user_key=ada.user_key)
    login = [each for each in items if each["type"] == "user.logged_in"][-1]
    assert (login["ip"], login["user_agent"]) == ("192.0.2.7", "a phone")
    (disabled,) = [each for each in items if each["type"] == "user.disabled"]
    assert (disabled["actor"], disabled["ip"]) == (f"user:{boss.user_key}", boss.address)


def test_no_hash_no_secret_and_no_token_is_shown(people: People, root: Person) -> None:
    """Security rule 19."""
    ada = people.new()
    new = "seven ropes, all quiet"
    ada.post("/me/secret", {"user_secret": SECRET, "new_user_secret": new})
    for accept in ("*/*", LINES):
        said = root.get(f"/events?user_key={ada.user_key}", Accept=accept).text
        assert "user.secret_changed" in said
        for private in ("argon2", "hash", SECRET, new, "gbr_", ada.refresh, ada.access):
            assert private not in said


def test_what_could_end_a_line_is_escaped(people: People, root: Person) -> None:
    """Security rule 21."""
    evil = b"a\x85b\x9bc\xa0d"
    ada = people.new()
    authenticate(people.client, ada.user_key, headers=[(b"User-Agent", evil)])
    answer = root.get(f"/events?user_key={ada.user_key}", Accept=LINES)
    assert len(answer.text.splitlines()) == len(answer.text.split("\n")) - 1
    assert all(line.isprintable() for line in answer.text.splitlines())
    last = [each for each in lines(root, user_key=ada.user_key) if each["user_agent"]][-1]
    assert last["user_agent"].encode("latin-1") == evil


def test_head_is_answered_as_get_and_ends(root: Person) -> None:
    for accept in ("*/*", LINES):
        head = root.ask("HEAD", "/events", Accept=accept)
        assert (head.status_code, head.content) == (200, b"")


class Small:
    """A service in this process that looks through three positions at a time."""

    def __init__(self, people: People) -> None:
        self.people = people
        self.root = people.new("events:read")
        self.ada = people.new()
        self.ada.log_in()

    def meddle(self, sql: str, *params: bytes | int) -> None:
        """Have somebody change the log past the service and what guards it."""
        with self.people.store() as store, store.storage.transaction() as rows:
            unseal(rows, store.storage.kind)
            rows.execute(sql, params)
            rows.commit()


@pytest.fixture
def small(start_anywhere: Starting, monkeypatch: pytest.MonkeyPatch) -> Small:
    monkeypatch.setattr(audit, "SPAN", 3)
    monkeypatch.setattr(event_pages, "LINES", 2)
    return Small(start_anywhere.people())


@pytest.mark.parametrize("order", ["desc", pytest.param("asc", marks=pytest.mark.long)])
def test_a_rare_type_is_found_part_by_part(small: Small, order: str) -> None:
    items = whole(small.root)
    for wanted in filters(items):
        expected = [each for each in items if fits(each, wanted)]
        expected = expected if order == "asc" else expected[::-1]
        query = f"{httpx.QueryParams(wanted)}&order={order}"
        assert walk(small.root, f"/events?{query}&limit=1") == expected, wanted
        assert page(small.root, **wanted, order=order)["items"] == expected, wanted
        assert lines(small.root, **wanted, order=order) == expected, wanted


@pytest.mark.parametrize(
    ("order", "kind", "back"), [("asc", "refresh_token.issued", None), ("desc", "log.opened", 3)]
)
def test_a_look_that_takes_long_gives_its_place_and_goes_on_there(
    small: Small, order: str, kind: str, back: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page may be empty, and lead on."""
    items = whole(small.root)
    expected = [each for each in items if each["type"] == kind]
    monkeypatch.setattr(event_pages, "LOOK_FOR", 0.0)
    query = f"/events?type={kind}&order={order}"
    reached = 3 if back is None else len(items) + 1 - back
    assert page(small.root, type=kind, order=order) == {
        "items": [],
        "next": place(small.people, reached),
    }
    assert walk(small.root, query) == (expected if order == "asc" else expected[::-1])


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_damaged_event_is_told_and_nothing_is_passed_over(small: Small, order: str) -> None:
    """Security rule 28: what comes before it is given, and then no more."""
    items = whole(small.root)
    broken = len(items) - 4
    small.meddle("UPDATE events SET clear = ? WHERE position = ?", b"{", broken)
    before = items[: broken - 1] if order == "asc" else items[broken:][::-1]
    seen: list[dict[str, Any]] = []
    after = ""
    while True:
        answer = small.root.get(f"/events?limit=3&order={order}&after={after}")
        if answer.status_code != 200:
            break
        seen += answer.json()["items"]
        after = answer.json()["next"]
    problem(answer, 500, "internal_error")
    assert seen == before
    answer = small.root.get(f"/events?order={order}&after={after}", Accept=LINES)
    problem(answer, 500, "internal_error")


def test_an_event_that_is_missing_is_damage(small: Small) -> None:
    """Security rule 28."""
    items = whole(small.root)
    small.meddle("DELETE FROM events WHERE position = ?", 5)
    for order, expected in (("asc", items[:4]), ("desc", items[5:][::-1])):
        found = page(small.root, order=order)
        assert found["items"] == expected
        answer = small.root.get(f"/events?order={order}&after={found['next']}")
        problem(answer, 500, "internal_error")
