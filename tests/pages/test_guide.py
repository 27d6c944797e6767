"""The guide on the start page: every step of it, from the first name to the erasure."""

from __future__ import annotations

import pytest

from tests.http.steps import SECRET, authenticate, register
from tests.http.steps import USER_KEY as KEY
from tests.pages.guiding import BUTTONS, Guide
from tests.pages.visits import Visit, new_name

SESSION = ["user.logged_in", "refresh_token.issued"]
ALL = [
    "user.registered",
    *SESSION,
    "refresh_token.used",
    "refresh_token.rotated",
    "refresh_token.rotated",
    "refresh_token.reuse_detected",
    "refresh_token.revoked",
    *SESSION,
]
"""What the log has when every step was taken."""


def test_the_whole_guide_by_mouse(guide: Guide) -> None:
    page = guide.page
    guide.window.expected = {"401"}
    assert "Nothing yet" in page.locator("#events").inner_text()
    key = guide.register()
    assert KEY.fullmatch(key)
    assert "201 Created" in page.locator("#outcome-register .line").inner_text()
    assert page.locator("#authenticate-user_secret").input_value() == SECRET
    assert guide.events == []
    guide.press("authenticate")
    assert guide.events == ALL[:3]
    assert page.locator("[data-member='claims.sub']").inner_text() == key
    assert page.locator("[data-member='claims.user_id']").inner_text() == guide.name
    assert page.locator("[data-member='header.typ']").inner_text() == "at+jwt"
    guide.press("refresh")
    assert guide.events == ALL[:4]
    assert "Nothing new in the log" in guide.press("refresh").inner_text()
    assert guide.events == ALL[:4]
    assert guide.name in guide.press("use").inner_text()
    assert guide.said("use") == f"You are {guide.name}."
    link = page.locator("#events-list a").first
    assert link.get_attribute("href") == "/docs/reference/events#refresh_tokenused"


def test_a_registration_whose_answer_is_lost_goes_on_with_its_key(
    guide: Guide, stranger: Visit
) -> None:
    guide.lose("/register")
    key = guide.register()
    who = {"user_id": guide.name, "user_secret": SECRET}
    assert stranger.client.post("/userkey", json=who).json() == {"user_key": key}
    assert "No answer said so, but it was done" in guide.said("register")
    told = guide.page.locator("#outcome-register").inner_text()
    assert "What was asked may have been done all the same." in told
    guide.press("authenticate")
    assert guide.events == ALL[:3]


def test_a_leak_is_detected_and_the_log_says_so(guide: Guide) -> None:
    page = guide.page
    guide.window.expected = {"401"}
    guide.until("rotate")
    stolen = page.locator("[data-cut=stolen]").inner_text()
    newest = page.locator("#try-refresh [data-cut=refresh_token]").inner_text()
    assert (stolen[26:32], newest[26:32]) == ("000001", "000003")
    told = guide.press("reuse")
    statuses = [each.get_attribute("data-status") for each in told.locator(".exchange").all()]
    assert statuses == ["401", "401", "200"]
    assert told.get_by_text('"reason": "reused"').count() == 2
    assert "the session is over" in guide.said("reuse")
    assert guide.events == ALL
    assert guide.press("use").locator(".exchange").get_attribute("data-status") == "200"


@pytest.mark.long
def test_without_the_secret_at_hand_one_is_told_how_to_go_on(guide: Guide) -> None:
    guide.window.expected = {"401"}
    guide.until("rotate")
    guide.page.fill("#authenticate-user_secret", "")
    told = guide.press("reuse")
    assert "Get another one in step 2." in guide.said("reuse")
    assert told.locator(".exchange").count() == 2
    assert not guide.page.locator("#token-own").is_visible()
    guide.page.fill("#authenticate-user_secret", SECRET)
    guide.press("authenticate")
    assert guide.events == ALL


def test_who_tried_it_is_erased(guide: Guide, stranger: Visit) -> None:
    page = guide.page
    key = guide.register()
    guide.press("authenticate")
    token = page.locator("#token-text").inner_text()
    page.locator("#erase button[class~=danger]").click()
    page.get_by_text("You are erased, and this page has forgotten you.").wait_for()
    shown = page.locator("body").inner_html()
    for each in (guide.name, token, token.split(".")[1], "gbr_", key):
        assert each not in shown
    assert page.locator("#authenticate-user_key").input_value() == ""
    assert guide.events == []
    again = {"user_key": key, "user_secret": SECRET}
    assert stranger.client.post("/authenticate", json=again).status_code == 401
    guide.register()  # the name is free


@pytest.mark.long
def test_an_erasure_gets_the_token_that_it_takes(guide: Guide, stranger: Visit) -> None:
    """As after a reload: nothing but the key is known."""
    key = register(stranger.client, new_name())
    page = guide.page
    guide.window.expected = {"401"}
    page.fill("#authenticate-user_key", key)
    page.fill("#authenticate-user_secret", SECRET)
    guide.press("authenticate")
    stranger.client.delete("/sessions", headers=bearer(stranger, key))
    page.fill("#erase-user_secret", f"not {SECRET}")
    guide.press("erase")
    assert "Nothing is erased" in guide.said("erase")
    guide.page.locator("#try-use [data-needs]").wait_for()
    page.fill("#erase-user_secret", SECRET)
    page.locator("#erase button[class~=danger]").click()
    page.get_by_text("You are erased, and this page has forgotten you.").wait_for()


def test_an_erasure_takes_a_key_and_a_secret_and_no_step_before(
    guide: Guide, stranger: Visit
) -> None:
    key, page = register(stranger.client, new_name()), guide.page
    guide.window.expected = {"401"}
    button = page.locator("#try-erase button")
    assert button.get_attribute("aria-disabled") == "true"
    page.fill("#authenticate-user_key", key)
    assert button.get_attribute("aria-disabled") == "false"
    assert not page.locator("#try-erase [data-needs]").is_visible()
    page.fill("#erase-user_secret", f"not {SECRET}")
    guide.press("erase")
    assert "Nothing is erased" in guide.said("erase")
    page.fill("#erase-user_secret", SECRET)
    guide.press("erase")
    assert guide.said("erase") == "You are erased, and this page has forgotten you."
    again = {"user_key": key, "user_secret": SECRET}
    assert stranger.client.post("/authenticate", json=again).status_code == 401


@pytest.mark.long
def test_an_erasure_goes_on_when_the_session_has_just_ended(guide: Guide, stranger: Visit) -> None:
    """Its token is refused before the page heard of it."""
    guide.page.route("**/web/live", lambda route: route.abort())
    guide.window.may_be_cut_off = True
    guide.page.reload()
    guide.window.expected = {"401"}
    key = guide.register()
    guide.press("authenticate")
    stranger.client.delete("/sessions", headers=bearer(stranger, key))
    guide.page.fill("#erase-user_secret", SECRET)
    told = guide.press("erase")
    statuses = [each.get_attribute("data-status") for each in told.locator(".exchange").all()]
    assert statuses == ["401", "200", "204"]
    assert guide.said("erase") == "You are erased, and this page has forgotten you."


def test_a_session_that_ends_elsewhere_is_over_here(guide: Guide, stranger: Visit) -> None:
    """Without anything pressed: what is held is worth nothing, and the page says so."""
    page = guide.page
    guide.window.expected = {"401"}
    key = guide.register()
    guide.press("authenticate")
    page.locator("#live[data-state=connected]").wait_for()
    stranger.client.delete("/sessions", headers=bearer(stranger, key))
    page.get_by_text("Your session was ended, perhaps elsewhere").wait_for()
    assert not page.locator("#token-own").is_visible()
    for step in ("refresh", "use", "rotate", "reuse"):
        assert page.locator(f"#try-{step} [data-needs]").is_visible()
        assert page.locator(f"#try-{step} button").get_attribute("aria-disabled") == "true"
    assert page.locator("#try-refresh [data-cut]").inner_text() in {"", "…"}
    guide.press("authenticate")
    assert "You have an access token" in guide.said("authenticate")
    assert page.locator("#token-own").is_visible()


@pytest.mark.long
@pytest.mark.parametrize("step", ["refresh", "use", "rotate"])
def test_whatever_is_pressed_notices_it_too(guide: Guide, stranger: Visit, step: str) -> None:
    """As where the light is out, by which the page hears that something happened."""
    guide.page.route("**/web/live", lambda route: route.abort())
    guide.window.may_be_cut_off = True
    guide.page.reload()
    guide.window.expected = {"401"}
    key = guide.register()
    guide.press("authenticate")
    stranger.client.delete("/sessions", headers=bearer(stranger, key))
    guide.press(step)
    assert "Your session was ended" in guide.said("authenticate")
    for each in ("refresh", "use", "rotate"):
        assert guide.page.locator(f"#try-{each} [data-needs]").is_visible()


def bearer(visit: Visit, key: str) -> dict[str, str]:
    """The header of another session of this user."""
    return {"authorization": f"Bearer {authenticate(visit.client, key)['access_token']}"}


def test_the_whole_guide_by_keyboard_alone(guide: Guide) -> None:
    page, keys = guide.page, guide.page.keyboard
    guide.window.expected = {"401"}

    def go(selector: str) -> None:
        for _ in range(60):
            keys.press("Tab")
            if page.evaluate("(it) => document.activeElement.matches(it)", selector):
                return
        pytest.fail(f"the keyboard doesn't come to {selector}")

    def take(step: str) -> None:
        go(f"#try-{step} button")
        keys.press("Space")
        guide.settled(step)
        assert page.evaluate("document.activeElement.closest('form').id") == f"try-{step}"

    go("#register-user_id")
    keys.type(guide.name)
    keys.press("Tab")
    keys.type(SECRET)
    keys.press("Enter")
    guide.settled("register")
    go("#tab-register-curl")
    for key, language in (
        ("ArrowRight", "python"),
        ("End", "javascript"),
        ("ArrowRight", "curl"),
        ("ArrowLeft", "javascript"),
        ("Home", "curl"),
        ("ArrowRight", "python"),
    ):
        keys.press(key)
        assert page.evaluate("document.activeElement.id") == f"tab-register-{language}"
        shown = [each.get_attribute("data-tab") for each in page.locator("[data-tab]").all()]
        seen = page.locator("[data-tab]:visible")
        assert {each.get_attribute("data-tab") for each in seen.all()} == {language}
        assert seen.count() == len(shown) / 3
    keys.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "PRE"
    for step in list(BUTTONS)[1:]:
        take(step)
    assert guide.events == ALL
    go("#try-erase button")
    keys.press("Enter")
    page.get_by_text("You are erased, and this page has forgotten you.").wait_for()


@pytest.mark.long
def test_a_step_that_lacks_something_says_what(guide: Guide) -> None:
    for step in ("refresh", "use", "rotate", "reuse", "erase"):
        button = guide.page.locator(f"#try-{step} button").first
        assert button.get_attribute("aria-disabled") == "true"
        if step == "erase":
            guide.page.fill("#erase-user_secret", SECRET)
        button.click(force=True)  # it can be pressed, and says so
        needed = guide.page.locator(f"#try-{step} [data-needs]").inner_text()
        assert guide.said(step) == needed != ""
        assert guide.page.locator(f"#outcome-{step} .exchange").count() == 0


@pytest.mark.long
def test_what_is_done_elsewhere_appears_by_itself(guide: Guide, stranger: Visit) -> None:
    """As by the lines for curl, tried in a terminal beside the page."""
    key = guide.register()
    guide.press("authenticate")
    guide.page.locator("#live[data-state=connected]").wait_for()
    authenticate(stranger.client, key)
    guide.page.locator("#events-list li").nth(4).wait_for()
    assert guide.events == [*ALL[:3], *SESSION]


@pytest.mark.long
def test_made_up_names_are_as_good(guide: Guide) -> None:
    page = guide.page
    guide.window.press("Make both up for me")
    name = page.locator("#register-user_id").input_value()
    secret = page.locator("#register-user_secret")
    assert secret.get_attribute("type") == "text"
    assert len(secret.input_value()) == 23
    guide.press("register")
    # It has done its work, and whoever looks over a shoulder needn't read it.
    assert secret.get_attribute("type") == "password"
    guide.press("authenticate")
    guide.press("use")
    assert guide.said("use") == f"You are {name}."
    page.reload()
    assert page.locator("#register-user_secret").get_attribute("type") == "password"
