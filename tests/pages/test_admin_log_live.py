"""Whether the log's page is truly live: a service or store that is away, another log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.pages.browsing import Browsing, Chromium
from tests.pages.conftest import housed
from tests.postgres import PostgresServer
from tests.running import running, settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pages.house import House

pytestmark = pytest.mark.long

LIVE: Final = "New events appear here as they happen."


def test_a_service_that_stands_still_has_no_live_log(chromium: Chromium, tmp_path: Path) -> None:
    """The connection is there all the time: only nothing comes."""
    with housed(f"sqlite:///{tmp_path}/gatebook.db") as house:
        look = Browsing(chromium, house.origin)
        window = house.somebody("admin").opens(look, "/admin/log")
        window.may_be_cut_off = True
        window.page.get_by_text(LIVE).wait_for()
        house.server.pause()
        window.page.get_by_text("Nothing is heard of the log just now").wait_for()
        house.server.go_on()
        window.page.get_by_text(LIVE).wait_for()
        assert look.close() == []


def test_a_service_whose_store_is_away_has_no_live_log(chromium: Chromium) -> None:
    with PostgresServer() as postgres, housed(postgres.create_database()) as house:
        look = Browsing(chromium, house.origin)
        window = house.somebody("admin").opens(look, "/admin/log")
        window.expected = {"503"}
        window.page.get_by_text(LIVE).wait_for()
        postgres.stop()
        window.page.get_by_text("Nothing is heard of the log just now").wait_for()
        postgres.start()
        window.page.get_by_text(LIVE).wait_for()
        assert look.close() == []


def test_a_log_that_was_replaced_is_told_and_offered_anew(
    chromium: Chromium, tmp_path: Path
) -> None:
    """To somebody who is logged in at the service that there is now."""
    one, other = (f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "other"))
    with housed(other) as house:
        after = house.somebody("admin")
    with housed(one) as house:
        look = Browsing(chromium, house.origin)
        window = house.somebody("admin").opens(look, "/admin/log?type=user.registered")
        window.may_be_cut_off = True
        window.page.get_by_text(LIVE).wait_for()
        assert not window.page.get_by_role("link", name="Load the page again").is_visible()
        cookie = {"name": "gatebook", "value": after.visit.token, "url": house.origin}
        window.page.context.add_cookies([cookie])  # type: ignore[list-item]
        house.server.stop()
        window.expected = {"409"}
        with running(settings(other, PORT=str(house.server.port))):
            window.page.get_by_text("The log was replaced by another").wait_for()
            assert not window.page.get_by_role("button", name="Pause").is_visible()
            window.page.get_by_role("link", name="Load the page again").click()
            window.page.get_by_text(LIVE).wait_for()
            assert window.page.locator("#type").input_value() == "user.registered"
            assert window.page.locator("#log").get_by_text(after.user_key).count()
            assert look.close() == []


def test_a_third_window_of_the_log_says_why_it_has_no_stream(look: Browsing, house: House) -> None:
    admin = house.somebody("admin")
    windows = [admin.opens(look, "/admin/log") for _ in range(2)]
    for window in windows:
        window.page.get_by_text(LIVE).wait_for()
        window.page.get_by_text("Connected!").wait_for()
    third = look.window()
    third.expected = {"429"}
    third.page.context.add_cookies(windows[0].page.context.cookies())  # type: ignore[arg-type]
    page = third.go("/admin/log")
    for place in ("#tail-state", "#live-state"):
        page.locator(place, has_text="Too many windows are open from here").wait_for()
    assert page.locator(".event").count()
    windows[0].page.close()
    page.get_by_text(LIVE).wait_for()
    page.get_by_text("Connected!").wait_for()
