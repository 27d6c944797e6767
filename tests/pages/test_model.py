"""The page of the model: it can be used by everybody, lights what is tied, and counts live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from app.web.model.addresses import address, log_of
from app.web.model.graph import MEMORY, model
from tests.pages.browsing import NARROW, Browsing
from tests.pages.looking import LOOKS, Looks, check
from tests.pages.visits import Visit
from tests.running import running, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page, Route


FOUND = model()
PICTURE = "svg.model"
TOTAL = "#tally [data-total]"
REGISTERED = '[data-node="event:user.registered"]'
AT = "document.activeElement.closest('.node')?.dataset.node"


def lit(page: Page) -> set[str]:
    """The parts that stand out."""
    found: list[str] = page.eval_on_selector_all(
        f"{PICTURE} .node.lit", "all => all.map(each => each.dataset.node)"
    )
    return set(found)


def tied(name: str) -> set[str]:
    """What comes of a part, and what it comes of, however far."""
    found = {name}
    for near, far in ((0, 1), (1, 0)):
        reached = {name}
        while more := {each[far] for each in FOUND.edges if each[near] in reached} - reached:
            reached |= more - {"log"}
            if more == {"log"}:
                break
        found |= reached
    return found


@pytest.mark.parametrize("looks", LOOKS)
def test_the_page_is_in_nobody_s_way(browse: Browsing, looks: Looks) -> None:
    window = browse.window()
    page = window.go("/model")
    check(window, "model", looks)
    page.focus(f"{REGISTERED} a")
    assert lit(page)
    check(window, "model-lit", looks)


def test_every_part_is_reached_by_keyboard_and_lights_what_it_is_tied_to(browse: Browsing) -> None:
    page = browse.window().go("/model")
    page.focus(".picture")
    seen: dict[str, set[str]] = {}
    links = []
    page.keyboard.press("Tab")
    while name := page.evaluate(AT):
        seen[name] = lit(page)
        links.append(page.evaluate("document.activeElement.getAttribute('href')"))
        page.keyboard.press("Tab")
    assert seen == {name: tied(name) for name in seen}
    assert seen.keys() == {
        node.key for node in (*FOUND.commands, *FOUND.events, *FOUND.views, *FOUND.readers)
    }
    for event in FOUND.events:
        assert {address("event", event.label), log_of(event.label)} <= set(links)
    expect(page.locator(f"{PICTURE}[data-lit]")).to_have_count(0)


def test_what_is_pointed_at_lights_and_goes_out_again(browse: Browsing) -> None:
    page = browse.window().go("/model")
    assert lit(page) == set()
    page.hover('[data-node="view:revocations"] .known')
    assert lit(page) == tied("view:revocations")
    assert "event:signing_key.withdrawn" in lit(page)
    assert "event:user.registered" not in lit(page)
    page.hover("h1")
    assert lit(page) == set()


def test_the_picture_is_scrolled_by_keyboard_where_it_is_wider_than_the_page(
    browse: Browsing,
) -> None:
    page = browse.window(width=NARROW).go("/model")
    last = page.locator(f"{PICTURE} .head").last
    expect(last).not_to_be_in_viewport()
    page.focus(".picture")
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    expect(last).to_be_in_viewport()


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[str]:
    """A service at which nothing happens but what a test does."""
    with running(settings(f"sqlite:///{tmp_path}/gatebook.db")) as server:
        yield f"http://127.0.0.1:{server.port}"


def test_counts_move_when_somebody_registers(silent: str, browse: Browsing) -> None:
    page = browse.window(origin=silent).go("/model")
    registered, total = page.locator('[data-count="user.registered"]'), page.locator(TOTAL)
    expect(registered).to_have_text(["0", "0"])
    expect(total).to_have_text("3")
    with Visit(silent) as stranger:
        stranger.register()
        expect(registered).to_have_text(["1", "1"])
        expect(total).to_have_text("4")
        expect(page.locator('[data-view="daily_activity"]')).to_have_text(["up to date"] * 2)
        stranger.log_in()
        expect(page.locator('svg [data-count="user.logged_in"]')).to_have_text("1")
    assert page.locator('svg [data-count="refresh_token.issued"]').text_content() == "1"


def test_a_log_that_was_counted_in_part_is_counted_to_its_end(
    silent: str, browse: Browsing
) -> None:
    page = browse.window(origin=silent).go("/model")
    seen: list[dict[str, object]] = []

    def answer(route: Route) -> None:
        told = route.fetch()
        part: dict[str, object] = {} if seen else {"position": 1, "counts": {"log.opened": 1}}
        seen.append(part)
        route.fulfill(response=told, json={**told.json(), **part})

    page.route("**/web/model", answer)
    with Visit(silent) as stranger:
        stranger.register()
    expect(page.locator(TOTAL)).to_have_text("4")
    expect(page.locator("#tally [data-rest]")).to_be_hidden()
    assert seen[0]


def test_without_javascript_it_is_all_there(browse: Browsing, visit: Visit) -> None:
    page = browse.window(javascript=False).go("/model")
    assert page.locator(f"{PICTURE} .node").count() == sum(map(len, FOUND[:4]))
    shown = page.locator('td [data-count="user.registered"]').inner_text()
    assert int(shown) >= 1
    row = page.get_by_role("row").filter(has_text="refresh_token.reuse_detected")
    assert "PresentRetired" in row.inner_text()
    assert "the log alone" in row.inner_text()
    ring = page.get_by_role("row").filter(has_text="signing_key.activated").last
    assert "key_ring" in ring.inner_text()
    held = page.get_by_role("row").filter(has_text="in memory")
    assert "GET …/jwks.json" in held.inner_text()
    assert visit.name


def test_the_numbers_are_those_of_the_log(visit: Visit) -> None:
    told = visit.get("/web/model").json()
    assert told["position"] == told["head"] == sum(told["counts"].values())
    assert told["counts"]["log.opened"] == 1
    kept = {node.label for node in FOUND.views if node.note != MEMORY}
    assert {each["name"] for each in told["views"]} == kept
    assert set(told) == {"log_id", "position", "head", "counts", "views"}
    assert {name for each in told["views"] for name in each} == {"name", "state", "lag"}


def test_whoever_may_not_read_the_log_learns_nothing_of_anybody(visit: Visit) -> None:
    """Security rule 19: neither the page nor its numbers name anybody."""
    key = visit.register()
    for answer in (visit.get("/model"), visit.get("/web/model")):
        assert answer.status_code == 200
        for secret in (visit.name, key, visit.token):
            assert secret not in answer.text
