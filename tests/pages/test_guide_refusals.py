"""What the guide says when something is refused, closed, or gone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.http.steps import SECRET, register
from tests.pages.browsing import Browsing
from tests.pages.guiding import Guide, serving
from tests.pages.visits import Visit, new_name
from tests.running import running, settings

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

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


def test_too_many_attempts_say_when_to_try_again(chromium: Browser, tmp_path: Path) -> None:
    with serving(chromium, tmp_path, REGISTRATIONS_PER_HOUR="1") as browsing:
        guide = Guide(browsing.window())
        guide.register()
        guide.window.expected = {"429"}
        guide.fill(new_name())
        told = guide.press("register").inner_text()
        assert re.search(r"Try again in \d+ seconds\.", told)
        assert "What too_many_attempts means" in told


def test_a_service_that_is_gone_is_told_of(chromium: Browser, tmp_path: Path) -> None:
    with running(settings(f"sqlite:///{tmp_path}/gatebook.db")) as server:
        browsing = Browsing(chromium, f"http://127.0.0.1:{server.port}")
        guide = Guide(browsing.window())
        guide.window.may_be_cut_off = True
        assert server.stop() == 0
        guide.fill()
        assert "The service didn't answer." in guide.press("register").inner_text()
        assert browsing.close() == []


def test_closed_registration_says_so_and_the_rest_goes_on(
    chromium: Browser, tmp_path: Path
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


def test_where_tokens_always_rotate_the_guide_says_so(chromium: Browser, tmp_path: Path) -> None:
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
