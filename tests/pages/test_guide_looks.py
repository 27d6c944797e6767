"""What the guide looks like in each of its states, at any width and shade: to be seen by all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.http.steps import SECRET
from tests.pages.guiding import BUTTONS, Guide, serving
from tests.pages.looking import LOOKS, Looks, check

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pages.browsing import Browsing, Chromium


@pytest.mark.parametrize("looks", LOOKS)
def test_the_guide_is_in_nobody_s_way_in_any_state(browse: Browsing, looks: Looks) -> None:
    window = browse.window()
    window.expected = {"400", "401"}
    guide = Guide(window)
    check(window, "guide-empty", looks)
    guide.fill(secret="password1")
    guide.press("register")
    check(window, "guide-refused", looks)
    guide.until(list(BUTTONS)[-1])
    check(window, "guide-tried", looks)
    guide.page.locator("#erase [class~=danger]").click()
    guide.settled("erase")
    check(window, "guide-erased", looks)


@pytest.mark.parametrize("looks", LOOKS)
def test_it_is_so_where_its_scripts_do_not_come(browse: Browsing, looks: Looks) -> None:
    """As without JavaScript, where axe could not look either."""
    window = browse.window()
    nothing = {"body": "", "content_type": "text/javascript"}
    window.page.route("**/guide*.js", lambda route: route.fulfill(**nothing))
    window.go("/")
    assert window.page.get_by_text("To try it on this page takes JavaScript").is_visible()
    check(window, "guide-no-scripts", looks)


@pytest.mark.parametrize("looks", LOOKS)
def test_and_where_registration_is_closed(chromium: Chromium, tmp_path: Path, looks: Looks) -> None:
    with serving(chromium, tmp_path, REGISTRATION="closed", ACCESS_TOKEN_TTL="90") as browsing:
        window = browsing.window()
        window.expected = {"401"}
        guide = Guide(window)
        guide.page.fill("#authenticate-user_key", "uk_31mvhaptxa9saarmdmt3kf0725")
        guide.page.fill("#authenticate-user_secret", SECRET)
        guide.press("authenticate")
        check(window, "guide-closed", looks)
