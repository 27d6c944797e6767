"""/admin/log: by user, type and time, in parts, and as it happens."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.bootstrap import LIVE_STREAMS
from domain.catalogue import EVENTS
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pages.browsing import Browsing
    from tests.pages.house import House, Somebody

TAIL = "/web/admin/log/live"


def positions(text: str) -> list[int]:
    """The events that a page shows, from the top."""
    return [int(each) for each in re.findall(r'data-position="(\d+)"', text)]


def types(text: str) -> list[str]:
    return re.findall(r'class="type"[^>]*>([^<]+)<', text)


@contextmanager
def tail(visitor: Somebody, query: str = "", **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
    """What the stream says, from the beginning to the end."""
    with visitor.visit.client.stream("GET", f"{TAIL}{query}", headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield told_in(answer.iter_lines())


def told_in(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The events, without the signs of life between them; at least one comes first."""
    assert next(lines).startswith("id: ")
    assert next(lines) == "event: beat"
    kind = ""
    for line in lines:
        if line.startswith("event: "):
            kind = line
        elif line.startswith("data: ") and kind == "event: event":
            yield json.loads(line[6:])


def test_the_log_is_told_newest_first_with_what_each_event_means(any_house: House) -> None:
    admin = any_house.somebody("events:read", "users:read")
    text = admin.page("/admin/log")
    seen = positions(text)
    assert seen == sorted(seen, reverse=True)
    assert types(text)[:3] == ["refresh_token.used", "refresh_token.issued", "user.logged_in"]
    assert 'href="/docs/reference/events#userlogged_in"' in text
    assert "The user proved who it is; a session began." in text
    assert f'href="/admin/users/{admin.user_key}"' in text
    assert "from 127.0.0.1 · python-httpx" in text
    for member in ("session_id", "request_id", "stream"):
        assert member in text
    assert '<code>by</code> <strong class="mono">page</strong>' in text
    held = '<code>permissions</code> <strong class="mono">events:read, users:read</strong>'
    assert held in text
    assert "`from`" not in text


def test_every_part_follows_on_the_one_before(any_house: House) -> None:
    admin = any_house.somebody("admin")
    for _ in range(8):
        any_house.people.new()
    path, seen = "/admin/log", []
    while path:
        text = admin.page(path)
        seen += positions(text)
        link = re.search(r'id="older" class="more"><a class="button second" href="([^"]+)"', text)
        path = link[1] if link else ""
    assert seen == list(range(seen[0], 0, -1))
    assert len(seen) > 30


def test_filters_by_user_type_and_time_go_together(any_house: House) -> None:
    admin = any_house.somebody("admin")
    other = any_house.somebody()
    client = admin.visit.client

    def shown(**filters: str) -> str:
        answer = client.get("/admin/log", params=filters)
        assert answer.status_code == 200, answer.text
        return answer.text

    for who in (other.user_key, other.visit.name, other.visit.name.upper()):
        text = shown(user=who)
        assert types(text)[-1] == "user.registered"
        assert set(re.findall(r"stream</dt><dd class=\"mono\">(\w+)", text)) == {other.user_key}
    text = shown(user=other.user_key, type="user.registered")
    assert types(text) == ["user.registered"]
    assert "<option selected>user.registered</option>" in text
    assert positions(shown(since="2999-01-01")) == []
    assert "No such event" in shown(until="2000-01-01")
    assert "isn't shown as it happens" in shown(until="2000-01-01")
    assert positions(shown(since="2000-01-01", until="2999-01-01T00:00:00Z"))
    assert set(types(shown(type="signing_key.added"))) == {"signing_key.added"}


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_each_type_can_be_asked_for(house: House, name: str) -> None:
    admin, program = house.somebody("events:read"), house.people.new("events:read")
    text = admin.page(f"/admin/log?type={name}")
    found = program.get(f"/events?type={name}&order=desc").json()["items"]
    assert positions(text) == [each["position"] for each in found][: len(positions(text))]
    assert set(types(text)) == {each["type"] for each in found}
    assert f"<option selected>{name}</option>" in text


def test_what_can_t_be_asked_for_is_said_at_its_field(any_house: House) -> None:
    admin, reader = any_house.somebody("admin"), any_house.somebody("events:read")
    for who, field, value, why in (
        (admin, "user", "nobody at all", "Nobody has exactly this name or key."),
        (reader, "user", "nobody at all", "you need users:read"),
        (admin, "type", "user.logged", "Perhaps: user.logged_in"),
        (admin, "since", "yesterday", "Give a time such as"),
        (admin, "until", "2026-11-23T17:08", "Give a time such as"),
    ):
        answer = who.visit.client.get("/admin/log", params={field: value})
        assert answer.status_code == 400
        assert f'id="{field}-error"' in answer.text
        assert why in answer.text
        assert positions(answer.text) == []
        assert "data-stream" not in answer.text.split('id="live"')[0]
    admin.page("/admin/log?after=nothing", 400)
    admin.page(f"/admin/log?after={'0' * 22}:5", 409)


def test_the_tail_tells_each_event_once_from_where_the_page_was_made(any_house: House) -> None:
    admin = any_house.somebody("admin")
    text = admin.page("/admin/log")
    query = re.search(rf'data-stream="{TAIL}\?([^"]+)"', text)
    assert query
    person = any_house.people.new()
    with tail(admin, f"?{query[1]}") as pieces:
        told = [next(pieces) for _ in range(3)]
        assert [each["position"] for each in told] == [
            positions(text)[0] + 1 + number for number in range(3)
        ]
        assert types(told[0]["html"]) == ["user.registered"]
        assert person.user_key in told[0]["html"]
        person.refreshed()
    log_id = any_house.people.client.get("/version").json()["log_id"]
    resumed = {"last-event-id": f"{log_id}:{told[0]['position']}"}
    with tail(admin, f"?{query[1]}", **resumed) as pieces:
        assert next(pieces)["position"] == told[1]["position"]


def test_the_tail_has_the_page_s_filters(any_house: House) -> None:
    admin, other = any_house.somebody("admin"), any_house.people.registered()
    text = admin.page(f"/admin/log?type=user.logged_in&user={other.user_key}")
    query = re.search(rf'data-stream="{TAIL}\?([^"]+)"', text)
    assert query
    any_house.people.new()
    other.log_in()
    with tail(admin, f"?{query[1]}") as pieces:
        html = next(pieces)["html"]
    assert types(html) == ["user.logged_in"]
    assert other.user_key in html
    for wrong in ("?user_key=nobody", "?type=nothing", "?after=nothing"):
        admin.page(f"{TAIL}{wrong}", 400)


def test_the_tail_ends_with_the_permission_and_with_the_session(any_house: House) -> None:
    """Security rule 16, for what is open: within a second or so."""
    for end in ("permission", "session"):
        visitor = any_house.somebody("events:read")
        with tail(visitor) as pieces:
            if end == "permission":
                any_house.takes(visitor.user_key, "events:read")
            else:
                visitor.visit.client.post("/revoke", json={"refresh_token": visitor.visit.token})
            for _ in pieces:  # it ends, and in order
                pass
        visitor.page(TAIL, 403 if end == "permission" else 401)


def test_the_tail_links_to_users_only_while_they_may_be_read(any_house: House) -> None:
    visitor, person = any_house.somebody("events:read", "users:read"), any_house.people.new()
    link = f'href="/admin/users/{person.user_key}"'
    with tail(visitor) as pieces:
        person.log_in()
        assert link in next(pieces)["html"]
        any_house.takes(visitor.user_key, "users:read")

        def another() -> str:
            person.log_in()
            return next(each["html"] for each in pieces if person.user_key in each["html"])

        until(another, lambda html: link not in html)
        assert person.user_key in another()


def test_the_tail_counts_among_the_few_streams_of_a_source(house: House) -> None:
    admin = house.somebody("admin")
    with ExitStack() as streams:
        for _ in range(LIVE_STREAMS - 1):
            streams.enter_context(tail(admin))
        light = admin.visit.client.stream("GET", "/web/live")
        assert streams.enter_context(light).status_code == 200
        refused = admin.visit.get(TAIL)
        assert refused.status_code == 429
        assert "retry-after" in refused.headers


def test_what_somebody_calls_itself_is_shown_and_not_run(house: House) -> None:
    admin = house.somebody("admin")
    name = "<img src=x onerror=alert(1)>"
    house.people.new().again(**{"User-Agent": name})
    text = admin.visit.get("/admin/log").text
    assert "<img src=x" not in text
    assert "&lt;img src=x" in text


def test_an_event_appears_without_the_page_being_loaded_again(look: Browsing, house: House) -> None:
    admin = house.somebody("admin")
    window = admin.opens(look, "/admin/log")
    page = window.page
    page.get_by_text("New events appear here as they happen.").wait_for()
    page.evaluate("window.still = true")
    person = house.people.new()
    row = page.locator("#log .event", has_text="user.logged_in").filter(has_text=person.user_key)
    row.first.wait_for()
    assert page.evaluate("window.still")
    shown = [int(each.get_attribute("data-position") or 0) for each in page.locator(".event").all()]
    assert shown == sorted(set(shown), reverse=True)
    page.get_by_role("button", name="Pause").click()
    other = house.people.new()
    page.get_by_text("Paused.").wait_for()
    page.evaluate("new Promise(requestAnimationFrame)")
    assert page.locator("#log").get_by_text(other.user_key).count() == 0
    page.get_by_role("button", name="Go on").click()
    page.locator("#log .event").filter(has_text=other.user_key).first.wait_for()


@pytest.mark.long
def test_an_event_ends_the_emptiness_of_a_page(look: Browsing, house: House) -> None:
    admin, person = house.somebody("admin"), house.people.registered()
    page = admin.opens(look, f"/admin/log?user={person.user_key}&type=user.logged_in").page
    page.get_by_text("No such event").wait_for()
    page.get_by_text("New events appear here as they happen.").wait_for()
    person.log_in()
    page.locator("#log .event").wait_for()
    assert page.get_by_text("No such event").count() == 0


@pytest.mark.long
def test_a_page_whose_permission_was_taken_away_says_so(look: Browsing, house: House) -> None:
    admin = house.somebody("admin")
    window = admin.opens(look, "/admin/log")
    page = window.page
    page.get_by_text("New events appear here as they happen.").wait_for()
    window.expected = {"403"}
    house.takes(admin.user_key, "admin")
    page.get_by_text("or may not see the log any more").wait_for()
    before = page.locator(".event").count()
    house.people.new()
    page.reload()
    page.get_by_role("heading", name="Insufficient permission").wait_for()
    assert before


def test_a_page_whose_session_was_ended_says_so(look: Browsing, house: House) -> None:
    admin = house.somebody("admin")
    window = admin.opens(look, "/admin/log")
    window.page.get_by_text("New events appear here as they happen.").wait_for()
    window.expected = {"401"}
    admin.visit.client.post("/revoke", json={"refresh_token": admin.visit.token})
    window.page.get_by_text("you are logged out").wait_for()


@pytest.mark.long
@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
def test_the_log_is_filtered_and_read_to_its_beginning(
    look: Browsing, house: House, javascript: bool
) -> None:
    admin = house.somebody("admin")
    for _ in range(9):
        house.people.new()
    page = admin.opens(look, "/admin/log", javascript=javascript).page
    if not javascript:
        page.get_by_text("Without scripts nothing appears by itself").wait_for()
        assert not page.get_by_text("waiting for the stream").is_visible()
    page.get_by_label("Type").select_option("user.logged_in")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**type=user.logged_in**")
    assert set(page.locator(".event .type").all_inner_texts()) == {"user.logged_in"}
    page.get_by_role("link", name="All of it").click()
    page.wait_for_url("**/admin/log")
    while (older := page.get_by_role("link", name="Older")).count():
        before = older.get_attribute("href")
        older.click()
        page.wait_for_function(
            "(before) => !document.querySelector('#older a') ||"
            " document.querySelector('#older a').getAttribute('href') !== before",
            arg=before,
        )
    page.locator(".event .type", has_text="log.opened").wait_for()
    page.locator("#event-1 summary").click()
    assert page.locator("#event-1").get_by_text("log, version 1").is_visible()


@pytest.mark.long
def test_what_a_page_lets_go_while_much_happens_is_found_below(
    look: Browsing, house: House
) -> None:
    admin, person = house.somebody("admin"), house.people.registered()
    for _ in range(20):
        person.log_in()
    page = admin.opens(look, "/admin/log").page
    page.get_by_text("New events appear here as they happen.").wait_for()
    newest = int(page.locator(".event").first.get_attribute("data-position") or 0)
    for _ in range(170):
        person.log_in()
    page.wait_for_function("(least) => document.querySelector('.event').dataset.position > least",
                           arg=newest + 338)  # fmt: skip
    page.get_by_role("link", name="Older").click()
    page.wait_for_function("() => document.querySelectorAll('.event').length > 310")
    places = page.evaluate("[...document.querySelectorAll('.event')].map(e => +e.dataset.position)")
    assert places == list(range(places[0], places[-1] - 1, -1))


def test_a_stranger_hears_nothing(house: House) -> None:
    answer = httpx.get(f"{house.origin}{TAIL}")
    assert answer.status_code == 401
