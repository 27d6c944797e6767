"""/admin/users: finding, making and changing users, on each kind of store."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.http.steps import SECRET
from tests.pages.visits import new_name

if TYPE_CHECKING:
    from tests.pages.browsing import Browsing
    from tests.pages.house import House, Somebody

NEW_SECRET = "a canary rope of nine"


def gets_in(house: House, user_key: str, secret: str = SECRET) -> bool:
    """Whether the user authenticates with a secret."""
    body = {"user_key": user_key, "user_secret": secret}
    return house.people.client.post("/authenticate", json=body).status_code == 200


def made(admin: Somebody) -> tuple[str, str]:
    """A user that the administrator made: key and name."""
    name = new_name()
    to = admin.send("/web/admin/users", user_id=name, user_secret=SECRET)
    found = re.fullmatch(r"/admin/users/(uk_[0-9a-z]{26})", to)
    assert found, to
    return found[1], name


def test_a_user_is_made_and_found_by_name_and_by_key(any_house: House) -> None:
    admin = any_house.somebody("users:read", "users:write")
    user_key, name = made(admin)
    assert gets_in(any_house, user_key)
    assert "The user was made." in admin.page(f"/admin/users/{user_key}")
    for wanted in (name, name.upper(), user_key):
        found = admin.visit.client.get("/admin/users", params={"q": wanted})
        assert f"/admin/users/{user_key}" in found.text
        assert found.text.count('href="/admin/users/uk_') == 1
    for nobody in ("nobody at all", "uk_" + "0" * 26, "\u2028"):
        found = admin.visit.client.get("/admin/users", params={"q": nobody})
        assert "Nobody has exactly this name or key." in found.text
    taken = admin.send("/web/admin/users", 409, user_id=name, user_secret=SECRET)
    assert "This name is taken." in taken
    assert SECRET not in taken
    assert "at least" in admin.send("/web/admin/users", 400, user_id=new_name(), user_secret="x")


def test_users_come_in_parts_in_both_orders(any_house: House) -> None:
    admin = any_house.somebody("users:read")
    for _ in range(26):
        any_house.people.registered()
    seen: dict[str, list[str]] = {}
    for order in ("desc", "asc"):
        path, keys = f"/admin/users?order={order}", []
        while path:
            text = admin.page(path)
            keys += re.findall(r'class="strong" href="/admin/users/(uk_\w{26})"', text)
            link = re.search(r'id="more"><a class="button second" href="([^"]+)"', text)
            path = link[1] if link else ""
        seen[order] = keys
    assert len(set(seen["asc"])) == len(seen["asc"]) > 26
    assert seen["desc"] == seen["asc"][::-1]
    assert admin.user_key in seen["asc"]
    last = admin.page("/admin/users?order=asc&after=999999999")
    assert "There are no more users." in last
    admin.page("/admin/users?after=nothing", 400)


def test_permissions_are_set_to_what_is_ticked_and_written(any_house: House) -> None:
    admin = any_house.somebody("admin")
    user_key, _ = made(admin)
    at, here = f"/admin/users/{user_key}", f"/web/admin/users/{user_key}/permissions"
    given: dict[str, str] = {
        "may-users-read": "yes",
        "may-events-read": "yes",
        "others": "b.own, a:own",
    }
    assert admin.send(here, 303, **given) == at
    text = admin.page(at)
    assert 'name="may-users-read" value="yes" checked' in text
    assert 'name="may-admin" value="yes">' in text
    assert 'value="a:own b.own"' in text
    refused = admin.send(here, 400, others="Not One")
    assert "A permission is a letter a to z" in refused
    assert 'id="others-error"' in refused
    shown = "a:own b.own events:read users:read"
    assert admin.send(here, shown=shown) == at
    assert "checked" not in admin.page(at)
    assert 'name="may-keys-read"' in admin.page(at)


@pytest.mark.long
def test_what_others_changed_since_a_form_was_made_stays(look: Browsing, house: House) -> None:
    """Given and taken away meanwhile: neither is undone, and what was ticked counts."""
    admin = house.somebody("users:read", "users:write")
    user = house.somebody("events:read", "keys:read", "an.own")
    window = admin.opens(look, f"/admin/users/{user.user_key}", javascript=False)
    page = window.page
    house.people.grant(user.user_key, "projections:read", "another.own")
    house.takes(user.user_key, "events:read")
    page.get_by_label("users:read").check()
    page.get_by_label("keys:read").uncheck()
    window.press("Set the permissions")
    page.get_by_text("The permissions were set.").wait_for()
    boxes = page.locator("#permissions input:checked")
    names = [box.get_attribute("name") for box in boxes.all()]
    assert names == ["may-users-read", "may-projections-read"]
    assert page.get_by_label("Others").input_value() == "an.own another.own"


def test_a_refused_form_of_permissions_keeps_what_was_filled_in(
    look: Browsing, house: House
) -> None:
    """Also where the permission to give was taken from whoever gives, since the form was made."""
    helper = house.somebody("users:read", "users:write", "keys:read", "one.own")
    user = house.somebody("users:read")
    window = helper.opens(look, f"/admin/users/{user.user_key}", javascript=False)
    page, keys = window.page, window.page.get_by_label("keys:read")
    keys.check()
    page.get_by_label("users:read").uncheck()
    page.get_by_label("Others").fill("Not One")
    window.expected = {"400", "403"}

    def is_as_filled_in(others: str) -> None:
        assert keys.is_checked()
        assert not page.get_by_label("users:read").is_checked()
        assert page.get_by_label("Others").input_value() == others

    window.press("Set the permissions")
    page.get_by_text("A permission is a letter a to z").first.wait_for()
    is_as_filled_in("Not One")
    page.get_by_label("Others").fill("one.own")
    house.takes(helper.user_key, "keys:read")
    window.press("Set the permissions")
    page.get_by_text("This needs the permission keys:read.").wait_for()
    is_as_filled_in("one.own")
    keys.uncheck()
    window.press("Set the permissions")
    page.get_by_text("The permissions were set.").wait_for()
    assert page.locator("#permissions input:checked").count() == 0
    assert page.get_by_label("Others").input_value() == "one.own"


def test_a_user_is_disabled_and_enabled_again(any_house: House) -> None:
    admin = any_house.somebody("admin")
    user_key, _ = made(admin)
    at = f"/admin/users/{user_key}"
    assert gets_in(any_house, user_key)
    for _ in range(2):  # repeated, it changes nothing
        assert admin.send(f"/web{at}/disable") == at
    assert not gets_in(any_house, user_key)
    text = admin.page(at)
    assert ">disabled</span>" in text
    assert "None. One begins when the user logs in" in text
    assert admin.send(f"/web{at}/enable") == at
    assert gets_in(any_house, user_key)
    assert "Disable</button>" in admin.page(at)


def test_all_sessions_end_and_a_new_secret_counts(any_house: House) -> None:
    admin = any_house.somebody("admin")
    user = any_house.somebody()
    at = f"/admin/users/{user.user_key}"
    assert "End all" in admin.page(at)
    assert admin.send(f"/web{at}/end-sessions") == at
    assert user.visit.get("/account").status_code == 303
    assert user.visit.log_in().status_code == 303
    refused = admin.send(f"/web{at}/secret", 400, user_secret="password1")
    assert 'id="user_secret-error"' in refused
    assert "password1" not in refused
    assert admin.send(f"/web{at}/secret", user_secret=NEW_SECRET) == at
    assert user.visit.get("/account").status_code == 303
    assert not gets_in(any_house, user.user_key)
    assert gets_in(any_house, user.user_key, NEW_SECRET)
    assert NEW_SECRET not in any_house.server.said.decode()


def test_a_user_is_erased_once_name_or_key_is_typed(any_house: House) -> None:
    admin = any_house.somebody("admin")
    for by_name in (True, False):
        user_key, name = made(admin)
        at = f"/admin/users/{user_key}"
        assert "This can't be undone." in admin.page(f"{at}/erase")
        for wrong in ("", name[:-1], f"{name} ", user_key.upper()):
            refused = admin.send(f"/web{at}/erase", 400, name=wrong)
            assert 'id="name-error"' in refused
            assert gets_in(any_house, user_key)
        assert admin.send(f"/web{at}/erase", name=name if by_name else user_key) == at
        assert not gets_in(any_house, user_key)
        text = admin.page(at)
        assert name not in text
        assert "Erased user" in text
        assert "nothing can be changed any more" in text
        assert "/disable" not in text
        found = admin.visit.client.get("/admin/users", params={"q": name})
        assert "Nobody has exactly this name or key." in found.text
        assert "erased already" in admin.page(f"{at}/erase")


def test_a_form_for_somebody_who_was_erased_meanwhile_says_so(any_house: House) -> None:
    """As from a page that was open since; and the page that comes offers none."""
    admin = any_house.somebody("admin")
    user_key, name = made(admin)
    at = f"/web/admin/users/{user_key}"
    admin.send(f"{at}/erase", name=name)
    changes: dict[str, dict[str, str]] = {
        "disable": {},
        "enable": {},
        "end-sessions": {},
        "secret": {"user_secret": NEW_SECRET},
        "permissions": {"others": "my.own"},
    }
    for path, fields in changes.items():
        text = admin.send(f"{at}/{path}", 404, **fields)
        assert "This user is erased: nothing can be changed any more." in text
        assert "no such user" not in text
        assert f'action="{at}' not in text
    api = any_house.people.new("users:read", "users:write")
    told = api.ask("POST", f"/users/{user_key}/disable").json()
    assert (told["code"], told["detail"][:20]) == ("not_found", "This user is erased:")


def test_the_last_administrator_stays(house: House) -> None:
    admin = house.somebody("admin")
    at = f"/web/admin/users/{admin.user_key}"
    changes: list[tuple[str, dict[str, str]]] = [
        (f"{at}/disable", {}),
        (f"{at}/permissions", {"shown": "admin", "may-users-read": "yes"}),
        (f"{at}/erase", {"name": admin.user_key}),
    ]
    for path, fields in changes:
        assert "This is the last administrator." in admin.send(path, 409, **fields)
    assert "/admin/status" in admin.page("/admin")


def test_an_administrator_is_changed_by_administrators_alone(any_house: House) -> None:
    admin = any_house.somebody("admin")
    helper = any_house.somebody("users:read", "users:write")
    at = f"/admin/users/{admin.user_key}"
    text = helper.page(at)
    assert text.count("you need <code>admin</code>") == 4
    assert f"/web{at}/disable" not in text
    changes: list[tuple[str, dict[str, str]]] = [
        ("disable", {}),
        ("end-sessions", {}),
        ("secret", {"user_secret": NEW_SECRET}),
        ("erase", {"name": admin.user_key}),
        ("permissions", {"others": ""}),
    ]
    for path, fields in changes:
        assert "the permission admin" in helper.send(f"/web{at}/{path}", 403, **fields)
    own = f"/web/admin/users/{helper.user_key}/permissions"
    refused = helper.send(own, 403, **{"may-keys-write": "yes"})
    assert "the permission keys:write" in refused
    assert "you can't give it" in helper.page(f"/admin/users/{helper.user_key}")


def test_who_isn_t_there_is_a_page_that_says_so(any_house: House) -> None:
    admin = any_house.somebody("admin")
    for user_key in ("uk_" + "0" * 26, "nobody", "log", "signing_keys"):
        for path in ("", "/erase", "/as-of"):
            assert "Not found" in admin.page(f"/admin/users/{user_key}{path}", 404)
        for path in ("disable", "enable", "end-sessions", "erase", "secret", "permissions"):
            fields: dict[str, str] = {
                "erase": {"name": "x"},
                "secret": {"user_secret": NEW_SECRET},
            }.get(path, {"others": ""})
            admin.send(f"/web/admin/users/{user_key}/{path}", 404, **fields)


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
def test_a_user_s_life_in_a_browser(look: Browsing, house: House, javascript: bool) -> None:
    admin, name = house.somebody("admin"), new_name()
    window = admin.opens(look, "/admin", javascript=javascript)
    page = window.page
    page.get_by_role("navigation", name="Administration").get_by_role("link", name="Users").click()
    page.get_by_role("link", name="New user").click()
    page.fill("#user_id", name)
    page.fill("#user_secret", SECRET)
    window.press("Make the user")
    page.get_by_text("The user was made.").wait_for()
    page.get_by_label("events:read").check()
    page.get_by_label("Others").fill("my.service")
    window.press("Set the permissions")
    page.get_by_text("The permissions were set.").wait_for()
    assert page.get_by_label("events:read").is_checked()
    window.press("Disable")
    page.get_by_text("The user is disabled, and").wait_for()
    window.press("Enable")
    page.get_by_text("The user is enabled").wait_for()
    page.fill("#user_secret", NEW_SECRET)
    window.press("Set the secret")
    page.get_by_text("There is a new secret").wait_for()
    page.locator(".event .type", has_text="user.secret_changed").wait_for()
    page.get_by_role("link", name="Log of this user").click()
    page.locator("#log .event").first.wait_for()
    assert page.locator("#log .event").count() == 5
    page.go_back()
    page.get_by_role("link", name="Erase …").click()
    page.fill("#name", name)
    window.press("Erase this user")
    page.get_by_text("nobody can read any more who it was.").first.wait_for()
    assert page.get_by_text(name).count() == 0


@pytest.mark.long
@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
def test_older_users_come_when_asked_for(look: Browsing, house: House, javascript: bool) -> None:
    admin = house.somebody("users:read")
    for _ in range(30):
        house.people.registered()
    page = admin.opens(look, "/admin/users", javascript=javascript).page
    own = page.locator(f'a[href="/admin/users/{admin.user_key}"]')
    assert own.count() == 0
    page.get_by_role("link", name="Older").click()
    own.wait_for()
    assert (page.locator("#users > li").count() > 26) == javascript


def test_nothing_of_a_user_is_told_to_whoever_asks_by_the_way(any_house: House) -> None:
    """The page of a user has no hash, no token and no secret."""
    admin, user = any_house.somebody("admin"), any_house.somebody()
    assert gets_in(any_house, user.user_key)
    text = admin.page(f"/admin/users/{user.user_key}") + admin.page("/admin/log")
    assert not re.search(r"gbr_|eyJ|\$argon2|secret_hash", text)
    assert any_house.secrets() == []
    assert httpx.get(f"{any_house.origin}/admin/users").status_code == 303


def test_a_refused_form_shows_nothing_that_its_page_would_not(any_house: House) -> None:
    """Who may change users and not see them hears why, and sees no session, name or address."""
    writer, user = any_house.somebody("users:write"), any_house.somebody()
    at = f"/web/admin/users/{user.user_key}"
    for path, fields in (("permissions", {"others": "No!"}), ("secret", {"user_secret": "x"})):
        text = writer.send(f"{at}/{path}", 400, **fields)
        assert user.visit.name not in text
        assert "127.0.0.1" not in text
    assert user.visit.name not in writer.send(f"{at}/erase", 403, name="somebody else")
    assert user.visit.name not in writer.page(f"/admin/users/{user.user_key}/erase", 403)
    writer.page(f"/admin/users/{user.user_key}", 403)


def test_who_changes_users_and_may_not_read_them_sees_that_it_was_done(any_house: House) -> None:
    """The key, which `POST /users` gives as well, and nothing else of the user."""
    writer, user = any_house.somebody("users:write"), any_house.somebody()
    at, here = f"/web/admin/users/{user.user_key}", "/admin/users/new"
    changes: list[tuple[str, dict[str, str], str]] = [
        ("permissions", {"others": ""}, "The permissions were set."),
        ("end-sessions", {}, "All sessions were ended."),
        ("secret", {"user_secret": NEW_SECRET}, "There is a new secret"),
        ("disable", {}, "The user is disabled"),
        ("enable", {}, "The user is enabled"),
        ("erase", {"name": user.user_key}, "The user is erased"),
    ]
    for path, fields, told in changes:
        assert writer.send(f"{at}/{path}", 303, **fields) == here
        text = writer.page(here)
        assert told in text
        assert user.user_key in text
        assert user.visit.name not in text
        assert user.user_key not in writer.page(here)
    name = new_name()
    assert writer.send("/web/admin/users", user_id=name, user_secret=SECRET) == here
    text = writer.page(here)
    assert "The user was made." in text
    found = re.search(r"uk_[0-9a-z]{26}", text)
    assert found
    assert gets_in(any_house, found[0])
    assert 'href="/admin/users"' not in text


def test_no_address_tells_of_a_change(any_house: House) -> None:
    admin = any_house.somebody("admin")
    for done in ("made", "permissions", "secret", "disabled", "enabled", "sessions", "erased"):
        text = admin.page(f"/admin/users/{admin.user_key}?done={done}")
        assert 'class="notice good"' not in text
    for done in ("rotated", "replaced"):
        assert 'class="notice good"' not in admin.page(f"/admin/keys?done={done}")
