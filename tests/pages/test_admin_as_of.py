"""/admin/users/{key}/as-of: a user before and after each of its events."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from app.web.page import moment
from tests.http.steps import SECRET

if TYPE_CHECKING:
    from tests.pages.browsing import Browsing
    from tests.pages.house import House, Somebody


def rows(text: str) -> dict[str, tuple[str, str, bool]]:
    """The members of the state before and after, and whether they are marked."""
    found = re.findall(
        r'<tr( class="changed")?><th scope="row">(.*?)(?: <span[^>]*>changed</span>)?</th>'
        r"<td>(.*?)</td><td>(?:<strong>)?(.*?)(?:</strong>)?</td></tr>",
        text,
    )
    return {name: (before, after, bool(changed)) for changed, name, before, after in found}


def changed(text: str) -> set[str]:
    return {name for name, (_, _, marked) in rows(text).items() if marked}


def a_life(house: House, admin: Somebody) -> Somebody:
    """Registered, logged in, given a permission, disabled, enabled, and given a secret."""
    user = house.somebody()
    at = f"/web/admin/users/{user.user_key}"
    admin.send(f"{at}/permissions", others="my.own")
    admin.send(f"{at}/disable")
    admin.send(f"{at}/enable")
    admin.send(f"{at}/secret", user_secret="a new rope of nine")
    return user


def test_each_event_shows_what_it_changed(any_house: House) -> None:
    admin = any_house.somebody("admin")
    user = a_life(any_house, admin)
    at = f"/admin/users/{user.user_key}/as-of"
    seen = {}
    length = int(re.findall(r'max="(\d+)"', admin.page(at))[0])
    for version in range(1, length + 1):
        text = admin.page(f"{at}?version={version}")
        assert f"Event {version} of {length}" in text
        (kind,) = re.findall(r'class="type"[^>]*>([^<]+)<', text)
        seen[kind] = text
    first = seen["user.registered"]
    assert rows(first)["Status"] == ("not there yet", "active", True)
    assert rows(first)["Name"] == ("not there yet", user.visit.name, True)
    assert changed(seen["user.logged_in"]) == {"Last login"}
    assert rows(seen["user.logged_in"])["Last login"][0] == "never"
    assert changed(seen["refresh_token.issued"]) == {"Live sessions"}
    assert ">begun</span>" in seen["user.logged_in"]
    assert ">changed</span>" in seen["refresh_token.issued"]
    assert rows(seen["user.permissions_set"])["Permissions"] == ("none", "my.own", True)
    assert changed(seen["user.permissions_set"]) == {"Permissions"}
    assert rows(seen["user.disabled"])["Status"] == ("active", "disabled", True)
    assert rows(seen["user.enabled"])["Status"] == ("disabled", "active", True)
    assert rows(seen["user.secret_changed"])["Secret version"] == ("1", "2", True)
    assert ">ended</span>" in seen["refresh_token.revoked"]
    assert "argon2" not in "".join(seen.values())


def test_it_agrees_with_the_user_as_of_the_event_s_position(any_house: House) -> None:
    admin, api = any_house.somebody("admin"), any_house.people.new("users:read")
    user = a_life(any_house, admin)
    at = f"/admin/users/{user.user_key}/as-of"
    length = int(re.findall(r'max="(\d+)"', admin.page(at))[0])
    for version in range(1, length + 1):
        text = admin.page(f"{at}?version={version}")
        (position,) = re.findall(r'data-position="(\d+)"', text)
        found = api.get(f"/users/{user.user_key}?position={position}").json()
        after = {name: after for name, (_, after, _) in rows(text).items()}
        assert after["Status"] == found["status"]
        assert after["Name"] == found["user_id"]
        assert after["Permissions"] == (", ".join(found["permissions"]) or "none")
        assert after["Live sessions"] == str(found["live_sessions"])


def test_who_may_read_users_alone_sees_what_the_api_would_tell(any_house: House) -> None:
    """No session, no version of the secret, no time: `GET /events` would refuse them."""
    admin, reader = any_house.somebody("admin"), any_house.somebody("users:read")
    api = any_house.people.new("users:read")
    user = a_life(any_house, admin)
    at = f"/admin/users/{user.user_key}/as-of"
    length = int(re.findall(r'max="(\d+)"', reader.page(at))[0])
    for version in range(1, length + 1):
        whole, text = admin.page(f"{at}?version={version}"), reader.page(f"{at}?version={version}")
        (position,) = re.findall(r">position (\d+)<", text)
        found = api.get(f"/users/{user.user_key}?position={position}").json()
        assert found["position"] == int(position)
        shown = {name: after for name, (_, after, _) in rows(text).items()}
        assert shown == {
            "Name": found["user_id"],
            "Status": found["status"],
            "Permissions": ", ".join(found["permissions"]) or "none",
            "Registered": moment(found["registered_at"]),
            "Last login": moment(found["last_login_at"]) if found["last_login_at"] else "never",
            "Live sessions": str(found["live_sessions"]),
        }
        for hidden in (
            *re.findall(r'class="mono">([0-9A-Za-z]{22})<', whole),
            "refresh token number",
        ):
            assert hidden not in text
        for kind in set(re.findall(r'class="type"[^>]*>([^<]+)<', whole)):
            assert kind not in text
        assert "<time" not in text.partition("</form>")[2]
        assert text.count("you need <code>events:read</code>") == 2


def test_who_was_erased_is_erased_at_every_event(any_house: House) -> None:
    admin = any_house.somebody("admin")
    user = a_life(any_house, admin)
    at = f"/admin/users/{user.user_key}/as-of"
    admin.send(f"/web/admin/users/{user.user_key}/erase", name=user.user_key)
    length = int(re.findall(r'max="(\d+)"', admin.page(at))[0])
    for version in (1, 2, length):
        text = admin.page(f"{at}?version={version}")
        assert user.visit.name not in text
        assert rows(text)["Name"][1] == "erased"
        assert "what was personal can't be read" in text
    assert rows(text)["Status"] == ("active", "erased", True)


def test_a_long_life_is_turned_from_a_snapshot_and_from_the_beginning(any_house: House) -> None:
    """Across the hundred events after which a snapshot is kept."""
    admin, user = any_house.somebody("admin"), any_house.people.new()
    for _ in range(110):
        user.refresh = user.rotated().json()["refresh_token"]
    at = f"/admin/users/{user.user_key}/as-of"
    length = int(re.findall(r'max="(\d+)"', admin.page(at))[0])
    assert length > 100
    early, late = admin.page(f"{at}?version=7"), admin.page(at)
    for name in ("Name", "Registered", "Last login", "Secret version", "Live sessions"):
        assert rows(early)[name][1] == rows(late)[name][1]
    numbers = [re.findall(r"refresh token number (\d+)", text) for text in (early, late)]
    assert int(numbers[0][0]) < int(numbers[1][0]) == 111


def test_an_event_that_isn_t_there_is_refused(any_house: House) -> None:
    admin = any_house.somebody("admin")
    at = f"/admin/users/{admin.user_key}/as-of"
    for version in ("9999", "-1", "x", str(10**20)):
        assert "Invalid request" in admin.page(f"{at}?version={version}", 400)


def test_the_slider_goes_through_a_life_by_mouse_and_by_keyboard(
    look: Browsing, house: House
) -> None:
    admin = house.somebody("admin")
    user = a_life(house, admin)
    page = admin.opens(look, f"/admin/users/{user.user_key}").page
    page.get_by_role("link", name="Back in time").click()
    slider = page.get_by_role("slider", name="Event of this user")
    length = int(slider.get_attribute("max") or 0)
    assert slider.input_value() == str(length)
    page.evaluate("window.still = true")
    slider.focus()
    page.keyboard.press("Home")
    page.get_by_text(f"Event 1 of {length}").wait_for()
    assert page.locator(".turn .changed").count() == 6
    page.keyboard.press("ArrowRight")
    page.get_by_text(f"Event 2 of {length}").wait_for()
    box = slider.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
    page.get_by_text(f"Event {length} of {length}").wait_for()
    page.get_by_role("link", name="Previous").click()
    page.get_by_text(f"Event {length - 1} of {length}").wait_for()
    expect(slider).to_have_value(str(length - 1))  # it moves once what is shown has settled
    page.get_by_role("link", name="First").click()
    page.get_by_text(f"Event 1 of {length}").wait_for()
    expect(slider).to_have_value("1")
    assert page.evaluate("window.still")


@pytest.mark.long
def test_without_scripts_there_are_links_and_a_button(look: Browsing, house: House) -> None:
    admin = house.somebody("admin")
    user = a_life(house, admin)
    page = admin.opens(look, f"/admin/users/{user.user_key}/as-of", javascript=False).page
    page.get_by_role("link", name="First").click()
    page.get_by_text("Event 1 of").wait_for()
    page.get_by_role("link", name="Next").click()
    page.get_by_text("Event 2 of").wait_for()
    page.get_by_role("slider").fill("3")
    page.get_by_role("button", name="Show").click()
    page.get_by_text("Event 3 of").wait_for()


@pytest.mark.parametrize("at", ["as-of", "as-of?version=1"])
def test_somebody_new_has_one_event_and_no_choice(house: House, at: str) -> None:
    admin, user = house.somebody("admin"), house.people.registered()
    text = admin.page(f"/admin/users/{user.user_key}/{at}")
    assert "There is only one yet: the registration." in text
    assert "disabled" in text
    assert SECRET not in text
