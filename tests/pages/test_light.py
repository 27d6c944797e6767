"""The light at the foot of every page: honest about whether the service is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.streams import RETRY_AFTER
from tests.pages.browsing import Browsing, Chromium
from tests.running import running, settings

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page, Route


PAUSES = """() => {
  const asked = performance.getEntriesByType("resource").filter(
    (each) => each.initiatorType === "fetch" && each.name.endsWith("/web/live"));
  const pauses = asked.slice(1).map((each, place) => each.startTime - asked[place].responseEnd);
  return pauses.length > 0 && pauses;
}"""
"""How long (ms) the page waited before it asked once more why there is no stream."""
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
"""As when another tab comes before this one, and goes again."""


def wait_for(page: Page, state: str) -> None:
    page.locator("#live-state", has_text=state).wait_for()


def test_it_is_loading_until_the_service_is_heard(browse: Browsing) -> None:
    window = browse.window()
    held: list[Route] = []
    window.page.route("**/web/live", lambda route: held.append(route))  # noqa: PLW0108 - it is marked
    page = window.go("/")
    light = page.locator("#live-state")
    assert light.inner_text() == "loading"
    assert light.get_attribute("role") == "status"
    assert light.get_attribute("aria-live") == "polite"
    while not held:
        page.evaluate("new Promise(requestAnimationFrame)")
    held[0].continue_()
    wait_for(page, "Connected!")
    page.get_by_text("events").last.wait_for()


def test_it_tells_of_a_restart(chromium: Chromium, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gatebook.db"
    with running(settings(url)) as server:
        port = str(server.port)
        browsing = Browsing(chromium, f"http://127.0.0.1:{port}")
        window = browsing.window()
        page = window.go("/register")
        wait_for(page, "Connected!")
        window.may_be_cut_off = True
        assert server.stop() == 0
        wait_for(page, "Reconnecting…")
        assert not page.locator("#live-head").inner_text()
    with running(settings(url, PORT=port)):
        wait_for(page, "Connected!")
        assert browsing.close() == []


def test_a_service_that_stands_still_is_not_connected(chromium: Chromium, tmp_path: Path) -> None:
    """The connection is there all the time: only nothing comes."""
    with running(settings(f"sqlite:///{tmp_path}/gatebook.db")) as server:
        browsing = Browsing(chromium, f"http://127.0.0.1:{server.port}")
        window = browsing.window()
        page = window.go("/")
        wait_for(page, "Connected!")
        window.may_be_cut_off = True
        server.pause()
        wait_for(page, "Reconnecting…")
        server.go_on()
        wait_for(page, "Connected!")
        assert browsing.close() == []


@pytest.mark.long
def test_a_page_that_is_seen_again_has_to_hear_first(chromium: Chromium, tmp_path: Path) -> None:
    """Whatever became of the service while nobody looked."""
    with running(settings(f"sqlite:///{tmp_path}/gatebook.db")) as server:
        browsing = Browsing(chromium, f"http://127.0.0.1:{server.port}")
        window = browsing.window()
        page = window.go("/")
        wait_for(page, "Connected!")
        window.may_be_cut_off = True
        page.evaluate(HIDE, True)
        server.pause()
        page.evaluate(HIDE, False)
        assert page.locator("#live-state").inner_text() == "loading"
        assert not page.locator("#live-head").inner_text()
        wait_for(page, "Reconnecting…")
        server.go_on()
        wait_for(page, "Connected!")
        assert browsing.close() == []


@pytest.mark.long
def test_a_page_that_has_no_stream_says_so(browse: Browsing) -> None:
    """A source has four of them: a fifth says why it is not connected, and asks when it may."""
    windows = [browse.window() for _ in range(5)]
    for window in windows[:4]:
        wait_for(window.go("/"), "Connected!")
    windows[4].expected = {"429"}
    last = windows[4].go("/")
    wait_for(last, "Too many windows are open from here")
    pauses = last.wait_for_function(PAUSES).json_value()
    assert min(pauses) >= 1000 * RETRY_AFTER
    windows[0].page.close()
    wait_for(last, "Connected!")
