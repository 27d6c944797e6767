"""Register, log in, and see to one's account: with scripts or without, by keyboard too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.http.steps import SECRET
from tests.pages.visits import new_name

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.pages.browsing import Browsing, Window
    from tests.pages.house import House
    from tests.pages.visits import Visit


def log_in(window: Window, who: str, secret: str = SECRET) -> Page:
    """On the account's page in the end."""
    page = window.go("/login")
    page.fill("#user", who)
    page.fill("#user_secret", secret)
    window.press("Log in")
    page.wait_for_url("**/account")
    return page


def fill_in_by_keyboard(page: Page, fields: dict[str, str]) -> None:
    """Type into the page's fields, one after the other from that which has the focus, and send it.

    A page that was loaded gives the focus when it is drawn, which may come after the first keys.
    """
    page.locator(f"{next(iter(fields))}:focus").wait_for()
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    for number, (field, text) in enumerate(fields.items()):
        if number:
            page.keyboard.press("Tab")
        page.keyboard.type(text)
        assert page.input_value(field) == text
    page.keyboard.press("Enter")


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
def test_somebody_registers_logs_in_and_out_again(browse: Browsing, javascript: bool) -> None:
    window = browse.window(javascript=javascript)
    page, name = window.go("/"), new_name()
    page.locator("main").get_by_role("link", name="Register").first.click()
    page.fill("#user_id", name)
    page.fill("#user_secret", SECRET)
    window.press("Register")
    assert page.locator("#user-key").inner_text().startswith("uk_")
    page.fill("#user_secret", SECRET)
    window.press("Log in")
    page.wait_for_url("**/account")
    assert page.get_by_role("heading", level=1).inner_text() == name
    page.get_by_role("banner").get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    window.go("/account")
    page.wait_for_url("**/login?next=%2Faccount")


def test_all_of_it_goes_by_keyboard_alone(browse: Browsing) -> None:
    window = browse.window()
    page, name = window.go("/register"), new_name()
    fill_in_by_keyboard(page, {"#user_id": name, "#user_secret": SECRET})
    page.locator("#user-key").wait_for()
    window.go("/login")
    fill_in_by_keyboard(page, {"#user": name, "#user_secret": SECRET})
    page.wait_for_url("**/account")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.keyboard.press("Enter")
    seen = []
    while "Erase the account …" not in seen:
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.textContent.trim()"))
        assert len(seen) < 30, seen
    assert "Change the secret" in seen


def test_a_name_with_a_space_is_refused_with_what_to_do(stranger: Visit) -> None:
    for path in ("/", "/register"):
        assert "no spaces" in stranger.get(path).text
    fields = {"user_id": "ada lovelace", "user_secret": SECRET}
    answer = stranger.send("/web/register", fields)
    assert answer.status_code == 400
    assert "no spaces: put a dot, a hyphen or an underscore there." in answer.text


def test_whoever_forgot_the_secret_is_told_what_to_do(ada: Visit) -> None:
    answer = ada.log_in(secret=f"not {SECRET}")
    assert answer.status_code == 401
    assert "an administrator can give you a new one" in answer.text
    [way] = re.findall(r'href="(/docs/[^"]*)"', answer.text.partition("Secret forgotten?")[2])
    path, _, place = way.partition("#")
    assert f'id="{place}"' in ada.get(path).text


def test_the_key_logs_in_as_the_name_does(browse: Browsing, stranger: Visit) -> None:
    page = log_in(browse.window(), stranger.register())
    assert page.get_by_role("heading", level=1).inner_text() == stranger.name


def test_a_session_ended_in_one_window_is_over_in_the_other(browse: Browsing, ada: Visit) -> None:
    here, there = browse.window(), browse.window()
    mine, other = log_in(here, ada.name), log_in(there, ada.name)
    mine.reload()
    mine.get_by_role("button", name="End the session that began").click()
    mine.get_by_text("The session was ended.").wait_for()
    assert mine.locator("#sessions .rows > li").count() == 1
    other.reload()
    other.wait_for_url("**/login?next=%2Faccount")
    assert there.page.context.cookies() == []
    mine.reload()
    assert mine.get_by_role("heading", level=1).inner_text() == ada.name


@pytest.mark.long
def test_what_is_pressed_after_the_session_ended_leads_to_the_login(
    browse: Browsing, ada: Visit
) -> None:
    """By htmx too, which would show a part of the page."""
    here, there = browse.window(), browse.window()
    mine, other = log_in(here, ada.name), log_in(there, ada.name)
    other.reload()
    mine.reload()
    mine.get_by_role("button", name="End all others").click()
    mine.get_by_text("All other sessions were ended.").wait_for()
    other.get_by_role("button", name="End the session that began").click()
    other.wait_for_url("**/login?next=/account")


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
def test_the_session_of_this_browser_ends_here(
    browse: Browsing, ada: Visit, javascript: bool
) -> None:
    window = browse.window(javascript=javascript)
    page = log_in(window, ada.name)
    page.get_by_role("button", name="End the session of this browser").click()
    page.wait_for_url("**/login")
    assert page.context.cookies() == []


@pytest.mark.long
def test_a_changed_secret_ends_the_others_and_counts_from_now_on(
    browse: Browsing, ada: Visit
) -> None:
    here, there = browse.window(), browse.window()
    mine, other = log_in(here, ada.name), log_in(there, ada.name)
    here.go("/account/secret")
    here.expected = {"400", "401"}
    for until_now, new, says in (
        (SECRET, "password1", "#new_user_secret-error"),
        ("not my secret", "a new rope of nine", "[role=alert]"),
    ):
        mine.fill("#user_secret", until_now)
        mine.fill("#new_user_secret", new)
        here.press("Change it")
        mine.locator(says).wait_for()
        assert mine.locator("#user_secret").input_value() == ""
    mine.fill("#user_secret", SECRET)
    mine.fill("#new_user_secret", "a new rope of nine")
    here.press("Change it")
    mine.get_by_text("Your secret was changed").wait_for()
    other.reload()
    other.wait_for_url("**/login?next=%2Faccount")
    log_in(there, ada.name, "a new rope of nine")


def test_who_is_erased_is_gone(browse: Browsing, ada: Visit) -> None:
    window = browse.window()
    page = log_in(window, ada.name)
    page.get_by_role("link", name="Erase the account …").click()
    page.fill("#user_secret", SECRET)
    window.press(f"Erase {ada.name}")
    page.get_by_role("heading", name="You are erased").wait_for()
    assert page.context.cookies() == []
    assert ada.log_in().status_code == 401


@pytest.mark.long
@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
def test_the_history_goes_back_to_the_beginning(
    browse: Browsing, ada: Visit, javascript: bool
) -> None:
    for _ in range(12):
        assert ada.log_in().status_code == 303
        ada.get("/account")
    window = browse.window(javascript=javascript)
    page = log_in(window, ada.name)
    page.get_by_role("link", name="All of it").click()
    page.wait_for_url("**/account/history")
    first = page.get_by_text("You registered.")
    assert not first.is_visible()
    page.get_by_role("link", name="Older").click()
    first.wait_for()
    if javascript:
        assert page.url.endswith("/account/history")
        assert page.locator("#history > li").count() > 30
    else:
        assert "?after=" in page.url


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
def test_the_key_is_still_there_after_a_reload(browse: Browsing, javascript: bool) -> None:
    """And neither it nor anything else stands in the address."""
    window = browse.window(javascript=javascript)
    page, name = window.go("/register"), new_name()
    page.fill("#user_id", name)
    page.fill("#user_secret", SECRET)
    window.press("Register")
    key = page.locator("#user-key").inner_text()
    for _ in range(2):
        page.reload()
        assert page.locator("#user-key").inner_text() == key
    assert page.url == f"{window.origin}/registered"
    page.fill("#user_secret", SECRET)
    window.press("Log in")
    page.wait_for_url("**/account")
    assert page.get_by_role("heading", level=1).inner_text() == name


def test_what_permissions_are_held_now_is_a_sentence(house: House) -> None:
    somebody = house.somebody("users:read", "keys:read")
    told = re.sub(r"<[^>]*>", "", somebody.page("/account"))
    assert "The permissions were set. Held now: keys:read, users:read. By the operator." in told
    house.takes(somebody.user_key, "users:read", "keys:read")
    told = re.sub(r"<[^>]*>", "", somebody.page("/account/history"))
    assert "The permissions were set. None are left. By the operator." in told


def test_who_has_not_just_registered_is_shown_no_key(stranger: Visit) -> None:
    for path in ("/registered", f"/registered?user_key=uk_{'0' * 26}"):
        answer = stranger.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_what_was_done_is_told_once_and_to_nobody_whom_an_address_tells_it(visit: Visit) -> None:
    """Security rule 24."""
    for done, told in (
        ("secret", "Your secret was changed"),
        ("others", "All other sessions were ended."),
        ("session", "The session was ended."),
    ):
        assert told not in visit.get(f"/account?done={done}").text
    answer = visit.send("/web/sessions/end-others", {})
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    kept = "; Path=/; HttpOnly; SameSite=Strict; Max-Age=3600"
    assert answer.headers["set-cookie"].endswith(kept)
    assert "All other sessions were ended." not in visit.get("/account/history").text
    assert "All other sessions were ended." in visit.get("/account").text
    assert "All other sessions were ended." not in visit.get("/account").text


@pytest.mark.parametrize(
    "value", ["", "x", "/account", "/account~~", "/account~x~y~z~a", "~secret", "/account~<b>", "é"]
)
def test_a_cookie_that_says_nothing_is_nothing(visit: Visit, value: str) -> None:
    cookie = f"gatebook={visit.token}; gatebook-done={value}".encode()
    answer = visit.client.get("/account", headers={b"cookie": cookie})
    assert answer.status_code == 200
    assert 'role="status" tabindex="-1"' not in answer.text
