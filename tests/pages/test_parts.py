"""Parts of a page that are asked for: what is refused, what never comes, and where the focus is."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.http.steps import SECRET
from tests.pages.browsing import Browsing, Chromium
from tests.pages.conftest import housed
from tests.pages.test_admin_projections import AT, begin_beside
from tests.postgres import PostgresServer
from tests.running import running, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from tests.pages.browsing import Window
    from tests.pages.house import House, Somebody
    from tests.running import Server

pytestmark = pytest.mark.long

MANY = 30
"""Logins: more than a part of one's history shows."""


UNCOVERED = """() => document.activeElement.getBoundingClientRect().bottom
  <= document.getElementById("told").getBoundingClientRect().top"""
"""Whether what has the focus is above what is told."""


def with_much_behind(visitor: Somebody) -> Somebody:
    """Who has more history than a page shows."""
    for _ in range(MANY):
        assert visitor.visit.log_in().status_code == 303
    return visitor


def with_a_program(house: House) -> Somebody:
    """Who has another session than that of the browser."""
    visitor = house.somebody()
    body = {"user_key": visitor.user_key, "user_secret": SECRET}
    assert house.people.client.post("/authenticate", json=body).status_code == 200
    return visitor


def lines(page: Page) -> Locator:
    """The parts of a history."""
    return page.locator("#history code")


def focused(page: Page) -> str:
    """The id of what has the focus, or its text."""
    return str(page.evaluate("document.activeElement.id || document.activeElement.innerText"))


def tab_to(page: Page, what: Locator) -> None:
    """Come to it as somebody who has no mouse."""
    for _ in range(400):
        page.keyboard.press("Tab")
        if what.evaluate("(element) => element === document.activeElement"):
            return
    pytest.fail(f"the keyboard doesn't come to {what}")


# --- what is refused


def test_a_refusal_takes_the_whole_place_outside_the_administration_too(chromium: Chromium) -> None:
    """The store is away: the history, and the search of the documentation, say so once."""
    with PostgresServer() as postgres, housed(postgres.create_database()) as house:
        visitor = with_much_behind(house.somebody())
        look = Browsing(chromium, house.origin)
        history = visitor.opens(look, "/account/history")
        docs = history.beside()
        docs.go("/docs")
        for window in (history, docs):
            window.expected = {"503"}
        postgres.stop()
        history.page.get_by_role("link", name="Older").click()
        docs.page.get_by_role("searchbox").press_sequentially("keys")
        for window in (history, docs):
            page = window.page
            heading = page.get_by_role("main").get_by_role("heading", level=1)
            heading.filter(has_text="Unavailable").wait_for()
            assert page.get_by_role("banner").count() == page.get_by_role("main").count() == 1
            assert heading.count() == 1
            assert page.get_by_role("heading", name="What to do").is_visible()
            assert heading.evaluate("(element) => element === document.activeElement")
            assert page.locator("#told").inner_text() == ""
        assert look.close() == []


# --- what never comes


@contextmanager
def older(chromium: Chromium, server: Server, visitor: Somebody) -> Iterator[Window]:
    """The history of somebody who has more of it."""
    look = Browsing(chromium, f"http://127.0.0.1:{server.port}")
    window = with_much_behind(visitor).opens(look, "/account/history")
    window.may_be_cut_off = True
    yield window
    assert look.close() == []


def test_a_service_that_is_gone_is_told_and_nothing_is_lost(
    chromium: Chromium, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/gatebook.db"
    with housed(url) as house, older(chromium, house.server, house.somebody()) as window:
        page, told = window.page, window.page.locator("#told")
        assert told.get_attribute("role") == "status"
        assert told.get_attribute("aria-live") == "polite"
        before, port = lines(page).count(), str(house.server.port)
        house.server.stop()
        older_link = page.get_by_role("link", name="Older")
        older_link.evaluate("(link) => { link.focus(); link.scrollIntoView({block: 'end'}) }")
        page.keyboard.press("Enter")
        told.filter(has_text="The service can't be reached.").wait_for()
        assert "try again" in told.inner_text()
        assert page.evaluate(UNCOVERED)
        assert lines(page).count() == before
        assert window.violations() == []
        with running(settings(url, PORT=port)):
            page.get_by_role("link", name="Older").click()
            page.wait_for_function(
                "(before) => document.querySelectorAll('#history code').length > before",
                arg=before,
            )
            assert told.inner_text() == ""
            page.close()


def test_a_service_that_doesn_t_answer_is_told(chromium: Chromium, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gatebook.db"
    with housed(url) as house, older(chromium, house.server, house.somebody()) as window:
        page = window.page
        patience = page.evaluate("htmx.config.timeout")
        assert 0 < patience <= 10_000
        page.evaluate("htmx.config.timeout = 200")
        before = lines(page).count()
        house.server.pause()
        page.get_by_role("link", name="Older").click()
        page.locator("#told", has_text="The service doesn't answer.").wait_for()
        assert lines(page).count() == before
        house.server.go_on()
        page.evaluate("(patience) => { htmx.config.timeout = patience }", patience)
        page.get_by_role("link", name="Older").click()
        page.locator("#told:empty").wait_for(state="attached")


def test_what_was_sent_and_got_no_answer_may_have_been_done(look: Browsing, house: House) -> None:
    visitor = with_a_program(house)
    window = visitor.opens(look, "/account")
    window.may_be_cut_off = True
    window.page.route("**/web/sessions/end-others", lambda route: route.abort())
    window.press("End all others")
    window.page.locator("#told", has_text="load the page again to see").wait_for()
    assert window.page.locator("#sessions .rows > li").count() == 2


def test_an_error_of_somebody_between_takes_no_place(look: Browsing, house: House) -> None:
    """As of a proxy whose service doesn't run."""
    window = with_much_behind(house.somebody()).opens(look, "/account/history")
    page, before = window.page, lines(window.page).count()
    window.expected = {"502"}
    page.route(
        "**/account/history?after*",
        lambda route: route.fulfill(status=502, body="<ul id=history><li>Bad gateway</li></ul>"),
    )
    page.get_by_role("link", name="Older").click()
    page.locator("#told", has_text="An error came back (502)").wait_for()
    assert page.get_by_text("Bad gateway").count() == 0
    assert lines(page).count() == before
    window.faults.remove(
        next(each for each in window.faults if "Response Status Error Code 502" in each)
    )


def test_what_a_page_asks_by_itself_is_told_once_and_goes_on(
    chromium: Chromium, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/gatebook.db"
    with housed(url) as house:
        admin = house.somebody("admin")
        begin_beside(house, "token_lookup", 1)
        look = Browsing(chromium, house.origin)
        window = admin.opens(look, AT)
        window.may_be_cut_off = True
        told = window.page.locator("#told")
        port = str(house.server.port)
        house.server.stop()
        told.filter(has_text="It is asked again by itself.").wait_for()
        assert window.page.get_by_role("progressbar").is_visible()
        with running(settings(url, PORT=port)):
            window.page.locator("#told:empty").wait_for(state="attached")
            assert look.close() == []


# --- where the focus is


def test_older_leads_to_the_first_of_what_is_older(look: Browsing, house: House) -> None:
    admin = house.somebody("admin")
    for _ in range(MANY):
        house.people.registered()
    with_much_behind(admin)
    for path, more, part in (
        ("/admin/users", "#more a", "#users > li"),
        ("/admin/log", "#older a", "#log > li"),
        ("/account/history", "#older a", "#history > li"),
    ):
        page = admin.opens(look, path).page
        place = page.locator(part).count() - 1
        tab_to(page, page.locator(more))
        page.keyboard.press("Enter")
        first = page.locator(part).nth(place)
        page.wait_for_function(
            "([part, place]) => document.querySelectorAll(part)[place]"
            ".contains(document.activeElement)",
            arg=[part, place],
        )
        assert first.locator("code, a").count()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main') !== null"), path


def test_a_rebuild_leaves_the_focus_at_its_view(look: Browsing, house: House) -> None:
    admin = house.somebody("admin")
    page = admin.opens(look, AT).page
    tab_to(page, page.locator("#rebuild-revocations"))
    page.keyboard.press("Enter")
    page.get_by_text("revocations was rebuilt and swapped.").wait_for()
    assert focused(page) in {"view-revocations", "rebuild-revocations"}


def test_the_last_step_of_the_slider_leaves_the_focus_at_its_heading(
    look: Browsing, house: House
) -> None:
    admin = house.somebody("admin")
    page = admin.opens(look, f"/admin/users/{admin.user_key}/as-of?version=1").page
    length = int(page.get_by_role("slider").get_attribute("max") or 0)
    tab_to(page, page.locator("#step-next"))
    for number in range(2, length + 1):
        assert focused(page) == "step-next"
        page.keyboard.press("Enter")
        page.get_by_text(f"Event {number} of {length}").wait_for()
    page.wait_for_function("() => document.activeElement.id === 'turn-title'")
    page.keyboard.press("Tab")
    assert focused(page) == "step-first"


def test_a_session_that_was_ended_leaves_the_focus_at_what_came_of_it(
    look: Browsing, house: House
) -> None:
    visitor = with_a_program(house)
    page = visitor.opens(look, "/account").page
    tab_to(page, page.get_by_role("button", name="End all others"))
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => document.activeElement.innerText === 'All other sessions were ended.'"
    )
