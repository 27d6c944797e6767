"""/admin/keys: which key signs, and letting a new one take over, in its time or at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.pages.browsing import Browsing
    from tests.pages.house import House

AT = "/admin/keys"


def states(text: str) -> list[str]:
    """Of the keys, the newest first."""
    return re.findall(r'class="mono">[^<]+</span> <span class="tag[^"]*">(\w+)</span>', text)


def test_a_new_key_is_published_first_and_another_waits_for_nothing(any_house: House) -> None:
    admin, person = any_house.somebody("keys:read", "keys:write"), any_house.people.new()
    before = admin.page(AT)
    assert states(before)[0] == "active"
    assert "No token is lost." in admin.page(f"{AT}/rotate")
    assert admin.send("/web/admin/keys/rotate") == AT
    text = admin.page(AT)
    assert states(text)[:2] == ["next", "active"]
    assert "A new key is published" in text
    assert "A successor waits already" in text
    assert f'href="{AT}/rotate"' not in text
    assert "Another rotation would change nothing" in admin.page(f"{AT}/rotate")
    admin.send("/web/admin/keys/rotate")
    assert states(admin.page(AT)) == states(text)
    assert person.get("/me").status_code == 200


def test_a_key_is_replaced_at_once_and_what_it_signed_is_refused(any_house: House) -> None:
    admin, person = any_house.somebody("keys:read", "keys:write"), any_house.people.new()
    assert "Every access token that there is becomes void." in admin.page(f"{AT}/rotate-now")
    assert admin.send("/web/admin/keys/rotate-now") == AT
    text = admin.page(AT)
    assert states(text)[0] == "active"
    assert set(states(text)[1:]) == {"withdrawn"}
    assert person.get("/me").status_code == 401
    assert person.refreshed().status_code == 200
    assert admin.page("/account")
    published = any_house.people.client.get("/.well-known/jwks.json").json()["keys"]
    assert [each["kid"] in text for each in published] == [True]
    assert not re.search(r'"d":|PRIVATE', text)


def test_a_key_that_was_withdrawn_before_its_time_never_signed(any_house: House) -> None:
    admin = any_house.somebody("keys:read", "keys:write")
    admin.send("/web/admin/keys/rotate")
    waiting = re.findall(r'class="mono">([^<]+)</span>', admin.page(AT))[0]
    admin.send("/web/admin/keys/rotate-now")
    rows = {
        kid: row
        for row in re.findall(r"<li>(.*?)</li>", admin.page(AT), re.DOTALL)
        for kid in re.findall(r'class="mono">([^<]+)</span>', row)
    }
    assert "withdrawn" in rows[waiting]
    assert "never signed" in rows[waiting]
    for said in ("signed from", "signs", "nothing that it signed"):
        assert said not in rows[waiting]
    assert any("signed from" in row for row in rows.values())
    reader = any_house.people.new("keys:read")
    found = {each["kid"]: each for each in reader.get("/keys").json()["items"]}
    assert found[waiting]["active_from"] is None


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
def test_both_ways_in_a_browser(look: Browsing, house: House, javascript: bool) -> None:
    admin = house.somebody("admin")
    window = admin.opens(look, "/admin", javascript=javascript)
    page = window.page
    page.get_by_role("navigation", name="Administration").get_by_role("link", name="Keys").click()
    page.locator("#keys > li").first.wait_for()
    count = page.locator("#keys > li").count()
    page.get_by_role("link", name="Rotate …", exact=True).click()
    window.press("Rotate")
    page.get_by_text("A new key is published").wait_for()
    assert page.locator("#keys > li").count() == count + 1
    assert page.get_by_role("link", name="Rotate …", exact=True).count() == 0
    page.get_by_role("link", name="Rotate now …").click()
    page.get_by_text("Every access token that there is becomes void.").wait_for()
    page.get_by_role("link", name="Keep it").click()
    assert page.locator("#keys > li").count() == count + 1
    page.get_by_role("link", name="Rotate now …").click()
    window.press("Replace the key now")
    page.get_by_text("A new key signs from now on.").wait_for()
    assert page.locator("#keys > li .tag").first.inner_text() == "active"
