"""The visitor's own token in the guide: read to the last member, counted down, kept nowhere."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from app.web.guide import CLAIMS, HEADER
from tests.http.steps import authenticate, register
from tests.pages.guiding import BUTTONS, HELD, Guide, serving
from tests.pages.visits import Visit, new_name

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pages.browsing import Browsing, Chromium

HOUR = 3600
ANNOUNCEMENTS = """
(() => {
  window.announced = [];
  const place = document.getElementById("token-announced");
  new MutationObserver(() => place.textContent && announced.push(place.textContent))
    .observe(place, {childList: true});
})()
"""


def decoded(part: str) -> dict[str, Any]:
    """A part of a token."""
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


def test_every_member_of_a_token_is_explained_in_its_order(stranger: Visit) -> None:
    token = authenticate(stranger.client, register(stranger.client, new_name()))["access_token"]
    header, claims, _ = token.split(".")
    assert list(decoded(header)) == list(HEADER)
    assert decoded(claims).keys() == CLAIMS.keys()


def test_what_is_shown_of_the_token_is_what_is_in_it(guide: Guide) -> None:
    guide.until("authenticate")
    page = guide.page
    token = page.locator("#token-text").inner_text()
    assert page.locator("#token-members").get_attribute("open") is not None
    for part, text in zip(("header", "claims"), token.split("."), strict=False):
        for name, value in decoded(text).items():
            shown = page.locator(f"[data-member='{part}.{name}']").inner_text()
            assert shown.startswith(str(value) or "(empty)"), name
    guide.press("refresh")
    assert page.locator("#token-text").inner_text() != token


@pytest.mark.long
def test_the_time_runs_down_and_is_seldom_announced(browse: Browsing) -> None:
    window = browse.window()
    window.stop_clock()
    window.expected = {"429"}  # the light hears nothing for an hour, and asks again and again
    guide = Guide(window)
    guide.page.evaluate(ANNOUNCEMENTS)
    guide.until("authenticate")
    page, meter = guide.page, guide.page.locator("#token-meter")
    assert meter.get_attribute("max") == str(HOUR)
    assert page.locator("#token-left").inner_text() in {"60:00", "59:59", "59:58"}
    page.clock.run_for(1000 * HOUR // 2)
    assert float(str(meter.get_attribute("value"))) <= HOUR / 2
    page.clock.run_for(1000 * HOUR)
    assert page.locator("#token-left").inner_text() == "over"
    assert page.evaluate("announced") == [
        *(
            f"The access token is good for {left} more."
            for left in ("30 minutes", "10 minutes", "5 minutes", "a minute", "10 seconds")
        ),
        "The access token is over. Refresh it in step 3.",
    ]


@pytest.mark.long
def test_a_token_of_a_few_seconds_is_over_and_refreshed(chromium: Chromium, tmp_path: Path) -> None:
    with serving(chromium, tmp_path, ACCESS_TOKEN_TTL="2") as browsing:
        guide = Guide(browsing.window())
        assert "here 2 seconds" in guide.page.locator("#step-refresh").inner_text()
        guide.until("authenticate")
        guide.page.locator("#token-own[data-state=over]").wait_for()
        assert guide.page.locator("#token-left").inner_text() == "over"
        guide.window.expected = {"401"}
        told = guide.press("use")
        assert '"reason": "expired"' in told.inner_text()
        guide.press("refresh")
        guide.page.locator("#token-own[data-state=good]").wait_for()


def test_a_token_is_kept_nowhere_and_a_reload_forgets_it(guide: Guide) -> None:
    guide.window.expected = {"401"}
    guide.until(list(BUTTONS)[-1])
    page = guide.page
    for where in ("/", "/register", "/"):
        held = page.evaluate(HELD)
        assert "gbr_" not in held
        assert "eyJ" not in held
        assert guide.name not in held
        assert page.evaluate("indexedDB.databases()") == []
        assert page.evaluate("caches.keys()") == []
        assert page.context.cookies() == []
        guide.window.go(where)
    shown = page.locator("body").inner_html()
    assert "gbr_" not in shown
    assert "eyJ" not in shown
    assert guide.name not in shown
    assert not page.locator("#token-own").is_visible()


@pytest.mark.long
def test_the_page_says_that_a_reload_forgets_it(guide: Guide) -> None:
    guide.until("authenticate")
    told = guide.page.locator("#token-own").inner_text()
    assert "reload the page, and it is forgotten" in told
    guide.page.reload()
    assert not guide.page.locator("#token-own").is_visible()
    assert guide.page.locator("#authenticate-user_key").input_value() == ""
    assert guide.page.locator("#authenticate-user_secret").input_value() == ""
