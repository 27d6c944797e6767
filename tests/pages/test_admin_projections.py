"""/admin/projections: how far each view is, and a rebuild with what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from app.rebuilding import rebuild_of
from projections.live import newest, read_pointers
from projections.rebuild_state import LEASE, MOVE
from projections.registry import PROJECTIONS
from tests.pages.conftest import housed
from tests.store.intruding import intrude
from tests.store.rebuilds import write_as_a_newer_release
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from tests.pages.browsing import Browsing
    from tests.pages.house import House, Somebody

NAMES = [each.name for each in newest(PROJECTIONS)]
AT = "/admin/projections"


def once(visitor: Somebody, path: str, text: str) -> str:
    """The page as soon as it says so."""
    return until(lambda: visitor.page(path), lambda found: text in found)


def begin_beside(house: House, name: str, position: int = 0) -> None:
    """A rebuild by somebody else, who has come this far, and stays there for a long time."""
    with house.people.store() as store:
        rebuild_of(store.storage).begin(name)
        with store.storage.transaction() as rows:
            clock = rows.clock()
            rows.execute(MOVE, (position, clock + 100 * LEASE))
            rows.commit()


def spoil(house: House) -> str:
    """Change a row of a view past the code; whose it is."""
    victim = house.people.registered().user_key
    with house.people.store() as store, store.storage.snapshot() as rows:
        table = read_pointers(rows)["user_directory"].table
    with intrude(house.people.settings.database_url) as intruder:
        sql = f"UPDATE {table} SET permissions = 'admin' WHERE user_key = ?"
        intruder.run(sql, (victim,))
    return victim


@pytest.fixture
def unbuilt(house: House) -> Iterator[House]:
    """In which no rebuild is under way, before or after."""
    yield house
    with house.people.store() as store, store.storage.transaction() as rows:
        rows.execute("DELETE FROM rebuilds")
        rows.commit()


def test_each_says_how_far_it_is(any_house: House) -> None:
    admin = any_house.somebody("admin")
    text = once(admin, AT, "at the head")
    for name in NAMES:
        assert f'id="view-{name}"' in text
        assert f'action="/web/admin/projections/{name}/rebuild"' in text
    assert text.count(">inline</span>") == 3
    assert text.count(">follow</span>") == 1
    assert "None yet: a rebuild" in text


@pytest.mark.parametrize("name", NAMES)
def test_a_view_is_rebuilt_and_swapped(any_house: House, name: str) -> None:
    admin = any_house.somebody("admin")
    to = admin.send(f"/web/admin/projections/{name}/rebuild", accept="no")
    assert to == AT
    text = once(admin, to, f"{name} was rebuilt and swapped.")
    assert "sha256:" in text
    assert any_house.people.new().get("/me").status_code == 200


def test_a_view_that_isn_t_there_can_t_be_rebuilt(any_house: House) -> None:
    admin = any_house.somebody("admin")
    for what in ("rebuild", "cancel"):
        sent = admin.send(f"/web/admin/projections/nothing/{what}", 404, accept="no")
        assert "Not found" in sent


def test_no_address_tells_of_a_rebuild(any_house: House) -> None:
    """Nor does a cookie, of what isn't there."""
    admin = any_house.somebody("admin")
    for query in ("rebuilt=revocations&build=99", "done=cancelled", "done=retried", "done=none"):
        text = admin.page(f"{AT}?{query}")
        assert 'role="status"' not in text.partition("<main")[2].partition("</main>")[0]
    for said in ("rebuilt", "rebuilt~nothing", "rebuilt~nothing~3", "rebuilt~~3"):
        holds(admin, said)
        assert "was rebuilt and swapped" not in admin.page(AT)


def test_one_runs_at_a_time_and_can_be_given_up(any_house: House) -> None:
    admin = any_house.somebody("admin")
    begin_beside(any_house, "token_lookup")
    text = admin.page(AT)
    assert "One rebuild runs at a time: wait for that of token_lookup, or cancel it." in text
    assert 'aria-label="Rebuild revocations" disabled' in text
    assert "Look again" in text
    for name in ("token_lookup", "revocations"):
        assert "is running" in admin.send(
            f"/web/admin/projections/{name}/rebuild", 409, accept="no"
        )
    to = admin.send("/web/admin/projections/token_lookup/cancel")
    assert "The rebuild was given up." in admin.page(to)
    assert "<progress" not in admin.page(AT)
    # As for whoever had begun it, and hears that another gave it up.
    holds(admin, f"rebuilt~token_lookup~{build(any_house, 'token_lookup')}")
    assert "The rebuild of token_lookup was given up." in admin.page(AT)
    assert "was given up" not in admin.page(AT)


def holds(visitor: Somebody, said: str) -> None:
    """The visitor's browser holds this of what was done."""
    host = urlsplit(visitor.visit.origin).hostname or ""
    cookies = visitor.visit.client.cookies
    if "gatebook-done" in cookies:
        cookies.delete("gatebook-done")
    cookies.set("gatebook-done", f"{AT}~{said}", domain=host, path="/")


def build(house: House, name: str) -> int:
    with house.people.store() as store, store.storage.snapshot() as rows:
        return read_pointers(rows)[name].build


def test_rows_that_differ_are_named_until_they_are_accepted(any_house: House) -> None:
    admin, victims = any_house.somebody("admin"), {spoil(any_house), spoil(any_house)}
    to = admin.send("/web/admin/projections/user_directory/rebuild", accept="no")
    text = once(admin, to, "was not swapped")
    for victim in victims:
        assert f"<li>{victim} differs in permissions</li>" in text
    assert "Rebuild and accept" in text
    assert "The last rebuild was not swapped" in admin.page(AT)
    to = admin.send("/web/admin/projections/user_directory/rebuild", accept="yes")
    once(admin, to, "user_directory was rebuilt and swapped.")
    assert "was not swapped" not in admin.page(AT)


def test_a_rebuild_that_can_t_apply_an_event_says_which(database_url: str) -> None:
    with housed(database_url) as house:
        admin = house.somebody("admin")
        with house.people.store() as store:
            position = write_as_a_newer_release(store)
        to = admin.send("/web/admin/projections/revocations/rebuild", accept="no")
        text = once(admin, to, "revocations can't be rebuilt.")
        assert f"<code>user.renamed</code> at {position} of the log can't be applied." in text
        assert "newer release" in text
        assert "The live table stays as it is." in text
        assert "was rebuilt and swapped" not in text
        again = admin.page(AT)
        assert "revocations can't be rebuilt." not in again
        assert "The last rebuild was not swapped" in again


def test_a_following_view_that_stopped_tries_again(any_house: House) -> None:
    admin = any_house.somebody("admin")
    assert admin.send("/web/admin/projections/retry") == AT
    assert "None had stopped" in admin.page(AT)
    with intrude(any_house.people.settings.database_url) as intruder:
        intruder.run(
            "UPDATE views SET stalled = 1, error_position = 3, error_type = 'user.logged_in', "
            "error_detail = 'canary' WHERE name = 'daily_activity'"
        )
    text = admin.page(AT)
    assert "Upgrade to a release that can apply it, then try again." in text
    assert ">stalled</span>" in text
    assert "The counts have stopped." in admin.page("/admin")
    assert "daily_activity stopped" in admin.page("/admin/status")
    any_house.people.new()
    assert admin.send("/web/admin/projections/retry") == AT
    once(admin, "/admin", 'class="charts"')
    text = until(lambda: admin.page(AT), lambda found: " behind</strong>" not in found)
    assert ">stalled</span>" not in text


def press_rebuild(page: Page, name: str) -> None:
    page.get_by_role("button", name=f"Rebuild {name}", exact=True).click()


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
def test_a_rebuild_in_a_browser(look: Browsing, unbuilt: House, javascript: bool) -> None:
    admin = unbuilt.somebody("admin")
    page = admin.opens(look, AT, javascript=javascript).page
    press_rebuild(page, "revocations")
    swapped = page.get_by_text("revocations was rebuilt and swapped.")
    if not javascript:
        while not swapped.count():
            page.reload()
    swapped.wait_for()
    assert page.url.endswith(AT)


@pytest.mark.long
@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
def test_its_progress_is_shown_as_it_goes(look: Browsing, unbuilt: House, javascript: bool) -> None:
    """One that goes on very slowly."""
    admin = unbuilt.somebody("admin")
    begin_beside(unbuilt, "token_lookup", 1)
    page = admin.opens(look, AT, javascript=javascript).page
    bar = page.get_by_role("progressbar", name="Rebuild of token_lookup")
    first = int(bar.get_attribute("value") or -1)
    assert 0 <= first < 50
    page.evaluate("window.still = true")
    with unbuilt.people.store() as store, store.storage.transaction() as rows:
        ((head,),) = rows.fetch("SELECT max(position) FROM events")
        rows.execute("UPDATE rebuilds SET position = ?", (int(head or 0) * 3 // 4,))
        rows.commit()
    if not javascript:
        page.get_by_role("link", name="Look again").click()
    page.wait_for_function("() => document.querySelector('progress').value >= 60")
    assert page.evaluate("window.still === true") == javascript
    assert page.get_by_role("link", name="Look again").is_visible() != javascript
    page.get_by_role("button", name="Cancel the rebuild").click()
    page.get_by_text("The rebuild was given up.").wait_for()
    assert bar.count() == 0


@pytest.mark.long
def test_what_differs_is_accepted_in_a_browser(look: Browsing, unbuilt: House) -> None:
    admin, victim = unbuilt.somebody("admin"), spoil(unbuilt)
    window = admin.opens(look, AT)
    press_rebuild(window.page, "user_directory")
    window.page.get_by_text(f"{victim} differs in permissions").first.wait_for()
    window.press("Rebuild and accept")
    window.page.get_by_text("user_directory was rebuilt and swapped.").wait_for()
