"""What the guide says when something is refused, closed, or gone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.http.steps import SECRET, register
from tests.pages.browsing import Browsing, Chromium
from tests.pages.guiding import Guide, serving
from tests.pages.visits import Visit, new_name
from tests.running import running, settings

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("user_id", "secret", "status", "field"),
    [
        ("", "password1", "400", "user_secret"),
        ("a b", SECRET, "400", "user_id"),
        ("taken", SECRET, "409", "user_id"),
    ],
)
def test_what_is_wrong_with_a_registration_stands_at_its_field(
    guide: Guide, stranger: Visit, user_id: str, secret: str, status: str, field: str
) -> None:
    page = guide.page
    guide.window.expected = {status}
    if user_id == "taken":
        user_id = new_name()
        register(stranger.client, user_id)
    guide.fill(user_id, secret)
    told = guide.press("register")
    assert told.locator(".exchange").get_attribute("data-status") == status
    wrong = page.locator(f"#register-{field}")
    assert wrong.get_attribute("aria-invalid") == "true"
    assert page.evaluate("document.activeElement.id") == f"register-{field}"
    described = str(wrong.get_attribute("aria-describedby")).split()
    assert page.locator(f"#{described[-1]}").inner_text()
    guide.fill()
    guide.press("register")
    assert page.locator("[aria-invalid]").count() == 0


def test_a_wrong_secret_is_refused_and_its_problem_explained(guide: Guide) -> None:
    page = guide.page
    guide.window.expected = {"401"}
    guide.register()
    page.fill("#authenticate-user_secret", f"not {SECRET}")
    told = guide.press("authenticate")
    assert "You have no token" in guide.said("authenticate")
    told.get_by_role("link", name="What invalid_credentials means").click()
    page.wait_for_url("**/errors/invalid_credentials")
    assert page.get_by_role("heading", name="What to do").is_visible()


def test_too_many_attempts_say_when_to_try_again(chromium: Chromium, tmp_path: Path) -> None:
    with serving(chromium, tmp_path, REGISTRATIONS_PER_HOUR="1") as browsing:
        guide = Guide(browsing.window())
        guide.register()
        guide.window.expected = {"429"}
        guide.fill(new_name())
        told = guide.press("register").inner_text()
        assert re.search(r"Try again in \d+ seconds\.", told)
        assert "What too_many_attempts means" in told


def test_a_service_that_is_gone_is_told_of(chromium: Chromium, tmp_path: Path) -> None:
    with running(settings(f"sqlite:///{tmp_path}/gatebook.db")) as server:
        browsing = Browsing(chromium, f"http://127.0.0.1:{server.port}")
        guide = Guide(browsing.window())
        guide.window.may_be_cut_off = True
        assert server.stop() == 0
        guide.fill()
        assert "The service didn't answer." in guide.press("register").inner_text()
        assert browsing.close() == []


LOST = pytest.mark.parametrize("instead", [[], [503]], ids=["no answer", "503"])


@LOST
def test_a_name_that_is_taken_since_the_answer_was_lost_is_ones_own(
    guide: Guide, stranger: Visit, instead: list[int]
) -> None:
    guide.window.expected = {"409", "503"}
    guide.lose("/register", *instead)
    guide.lose("/userkey")
    assert guide.register() == ""
    said = guide.said("register")
    assert "You are registered, or you are not: nothing says it yet." in said
    assert "You are not registered" not in said
    key = guide.register()
    who = {"user_id": guide.name, "user_secret": SECRET}
    assert stranger.client.post("/userkey", json=who).json() == {"user_key": key}
    assert "it was done" in guide.said("register")
    assert guide.page.locator("[aria-invalid]").count() == 0


def test_a_registration_that_never_arrived_is_repeated(guide: Guide) -> None:
    guide.window.expected = {"401"}
    guide.window.may_be_cut_off = True
    guide.page.route("**/register", lambda route: route.abort(), times=1)
    assert guide.register() == ""
    assert "So far you are not registered. Press Register again" in guide.said("register")
    assert guide.register() != ""
    assert guide.said("register").startswith("You are registered.")


def test_somebody_elses_name_is_taken_also_when_an_answer_was_lost(
    guide: Guide, stranger: Visit
) -> None:
    register(stranger.client, guide.name, f"not {SECRET}")
    guide.window.expected = {"401", "409"}
    guide.lose("/register")
    guide.register()
    assert "So far you are not registered." in guide.said("register")
    guide.register()
    assert "You are not registered." in guide.said("register")
    assert "This name is taken" in guide.page.locator("#register-user_id-error").inner_text()


@LOST
def test_an_erasure_whose_answer_is_lost_was_done_or_was_not(
    guide: Guide, stranger: Visit, instead: list[int]
) -> None:
    guide.window.expected = {"401", "503"}
    key = guide.register()
    guide.press("authenticate")
    guide.lose("/me/erase", *instead)
    guide.press("erase")
    said = guide.said("erase")
    assert "You are erased, or you are not." in said
    assert "Nothing is erased" not in said
    gone = {"user_key": key, "user_secret": SECRET}
    assert stranger.client.post("/authenticate", json=gone).status_code == 401
    guide.press("erase")
    assert "You are erased, most likely" in guide.said("erase")


def test_an_erasure_that_never_arrived_is_repeated(guide: Guide) -> None:
    guide.register()
    guide.press("authenticate")
    guide.window.expected = {"401"}
    guide.window.may_be_cut_off = True
    guide.page.route("**/me/erase", lambda route: route.abort(), times=1)
    guide.press("erase")
    assert "You are erased, or you are not." in guide.said("erase")
    guide.page.fill("#erase-user_secret", f"not {SECRET}")
    guide.press("erase")
    assert "Nothing is erased." in guide.said("erase")
    guide.page.fill("#erase-user_secret", SECRET)
    guide.press("erase")
    assert guide.said("erase") == "You are erased, and this page has forgotten you."


@LOST
def test_a_rotation_whose_answer_is_lost_may_be_done(guide: Guide, instead: list[int]) -> None:
    guide.window.expected = {"503"}
    guide.until("use")
    guide.lose("/refresh", *instead)
    guide.press("rotate")
    assert "It may be rotated all the same" in guide.said("rotate")
    guide.press("rotate")
    assert "Your refresh token was replaced twice." in guide.said("rotate")


@LOST
def test_a_reuse_whose_answer_is_lost_leaves_it_open(guide: Guide, instead: list[int]) -> None:
    guide.window.expected = {"401", "503"}
    guide.until("rotate")
    guide.page.route("**/web/live", lambda route: route.abort())
    guide.lose("/refresh", *instead)
    guide.press("reuse")
    assert "Whether the session goes on isn't known" in guide.said("reuse")


def test_closed_registration_says_so_and_the_rest_goes_on(
    chromium: Chromium, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/gatebook.db"
    with running(settings(url)) as server, Visit(f"http://127.0.0.1:{server.port}") as visit:
        key = register(visit.client, name := new_name())
    with serving(chromium, tmp_path, REGISTRATION="closed") as browsing:
        guide = Guide(browsing.window())
        page = guide.page
        assert page.locator("#try-register").count() == 0
        told = page.locator("#registration-closed").inner_text()
        assert "Registration is closed here." in told
        assert "GATEBOOK_REGISTRATION=open" in told
        page.fill("#authenticate-user_key", key)
        page.fill("#authenticate-user_secret", SECRET)
        guide.press("authenticate")
        guide.press("use")
        assert guide.said("use") == f"You are {name}."
        assert page.locator("#erase-user_secret").input_value() == ""


def test_where_tokens_always_rotate_the_guide_says_so(chromium: Chromium, tmp_path: Path) -> None:
    with serving(chromium, tmp_path, REFRESH_ROTATION="always") as browsing:
        guide = Guide(browsing.window())
        guide.until("authenticate")
        assert "replaced by a new one each time" in guide.page.locator("#step-refresh").inner_text()
        held = guide.page.locator("#try-refresh [data-cut]")
        before = held.inner_text()
        guide.press("refresh")
        assert (before[26:32], held.inner_text()[26:32]) == ("000001", "000002")
        guide.window.expected = {"401"}
        guide.press("rotate")
        guide.press("reuse")
        assert "the session is over" in guide.said("reuse")
