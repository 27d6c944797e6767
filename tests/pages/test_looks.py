"""What every page looks like: to be seen, and to be used by everybody, at any width and shade."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.http.problem import BY_CODE
from tests.http.steps import SECRET
from tests.pages.browsing import NARROW, Browsing, Window
from tests.pages.guiding import Guide
from tests.pages.looking import LOOKS, Looks, check, check_text
from tests.pages.visits import new_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pages.house import House

STRANGERS = {
    "start": "/",
    "register": "/register",
    "login": "/login",
    "problem": "/errors/invalid_token",
    "nothing": "/account/nothing",
}
OF_ONESELF = {
    "account": "/account",
    "history": "/account/history",
    "secret": "/account/secret",
    "erase": "/account/erase",
}


def steps(window: Window) -> Iterator[str]:
    """From a stranger to somebody who is logged in, past what can go wrong."""
    for name, path in STRANGERS.items():
        window.expected = {"404"} if name == "nothing" else set()
        window.go(path)
        yield name
    window.expected = {"400", "401"}
    page, user_id = window.go("/register"), new_name()
    page.fill("#user_id", user_id)
    page.fill("#user_secret", "short")
    window.press("Register")
    page.locator("#user_secret-error").wait_for()
    yield "register-refused"
    page.fill("#user_secret", SECRET)
    window.press("Register")
    page.locator("#user-key").wait_for()
    yield "registered"
    page.fill("#user_secret", f"not {SECRET}")
    window.press("Log in")
    page.get_by_role("alert").wait_for()
    yield "login-refused"
    page.fill("#user_secret", SECRET)
    window.press("Log in")
    page.wait_for_url("**/account")
    for name, path in OF_ONESELF.items():
        window.go(path)
        yield name
    window.go("/account/secret")
    page.fill("#user_secret", SECRET)
    page.fill("#new_user_secret", "a new rope of nine")
    window.press("Change it")
    page.get_by_text("Your secret was changed").wait_for()
    yield "done"
    page.goto(f"{window.origin}/account/erase")
    page.fill("#user_secret", "a new rope of nine")
    window.press(f"Erase {user_id}")
    page.get_by_role("heading", name="You are erased").wait_for()
    yield "erased"


@pytest.mark.parametrize("looks", LOOKS)
def test_no_page_is_in_anybody_s_way(browse: Browsing, looks: Looks) -> None:
    """Security rule 24, too: a window notices what the policy forbids."""
    window = browse.window()
    seen = []
    for name in steps(window):
        check(window, name, looks)
        seen.append(name)
    assert len(set(seen)) == len(seen) == len(STRANGERS) + len(OF_ONESELF) + 5


@pytest.mark.long
def test_no_problem_s_page_is_in_anybody_s_way(browse: Browsing) -> None:
    """Head and foot are the same as on other pages."""
    window = browse.window()
    for code in BY_CODE:
        window.go(f"/errors/{code}")
        check_text(window, f"problem-{code}", ".top, .foot")


@pytest.mark.parametrize(
    "letter", ["Ｗ", *(pytest.param(each, marks=pytest.mark.long) for each in ("W", "界"))]
)
def test_the_longest_name_makes_no_page_scroll_sideways(
    look: Browsing, house: House, letter: str
) -> None:
    """At 320 pixels, wherever the name is shown."""
    admin = house.somebody("admin")
    name = (letter * 120 + new_name().partition("@")[0])[-128:]
    window = look.window(width=NARROW)
    key, page = window.enter(name, SECRET), window.page
    seen = []

    def shown(where: str) -> None:
        seen.append(where)
        assert name in page.content(), where
        assert not window.sticks_out(), where

    for path in ("/account", "/account/erase"):
        window.go(path)
        shown(path)
    cookie = {"name": "gatebook", "value": admin.visit.token, "url": house.origin}
    page.context.add_cookies([cookie])  # type: ignore[list-item]
    at = f"/admin/users/{key}"
    for path in ("/admin/users", at, f"{at}/as-of", f"{at}/erase", f"/admin/log?user={name}"):
        window.go(path)
        shown(path)
    guide = Guide(window, name)
    page.fill("#authenticate-user_key", key)
    page.fill("#authenticate-user_secret", SECRET)
    guide.press("authenticate")
    guide.press("use")
    shown("/")
    assert len(seen) == 8


def test_what_axe_finds_is_told(browse: Browsing) -> None:
    """The control: a field without a name, and text that nobody can read."""
    window = browse.window()
    page = window.go("/register")
    page.evaluate("document.querySelector('label').remove()")
    page.evaluate("document.querySelector('main p').style.color = 'rgb(200, 205, 202)'")
    found = window.violations()
    assert {each.split(":")[0] for each in found} >= {"label", "color-contrast"}


def test_a_page_without_scripts_has_no_light_that_pretends(browse: Browsing) -> None:
    page = browse.window(javascript=False).go("/")
    assert page.get_by_role("heading", level=1).is_visible()
    assert not page.get_by_text("loading").is_visible()
