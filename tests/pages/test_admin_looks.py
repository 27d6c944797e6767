"""What the administration looks like, empty and filled, at any width and shade."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.http.steps import SECRET
from tests.pages.looking import LOOKS, Looks, check
from tests.pages.test_admin_projections import begin_beside, once, spoil

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pages.browsing import Browsing, Window
    from tests.pages.house import House, Somebody

EMPTY = {
    "admin-user-nobody": "/admin/users?q=nobody",
    "admin-users-none": "/admin/users?order=asc&after=99999",
    "admin-log-none": "/admin/log?type=user.erased",
    "admin-log-wrong": "/admin/log?user=nobody&since=yesterday&until=x&type=y",
    "admin-user-not-there": "/admin/users/nobody",
}
FILLED = {
    "admin": "/admin",
    "admin-users": "/admin/users",
    "admin-new-user": "/admin/users/new",
    "admin-log": "/admin/log",
    "admin-projections": "/admin/projections",
    "admin-keys": "/admin/keys",
    "admin-rotate": "/admin/keys/rotate",
    "admin-rotate-now": "/admin/keys/rotate-now",
    "admin-status": "/admin/status",
}
OF_A_USER = {
    "admin-user": "",
    "admin-erase": "/erase",
    "admin-as-of": "/as-of",
    "admin-as-of-first": "/as-of?version=1",
}


def steps(window: Window, house: House, admin: Somebody) -> Iterator[str]:
    """From an empty house to one in which much happened."""
    for name, path in {**EMPTY, **FILLED}.items():
        window.expected = {"400", "404"}
        window.go(path)
        yield f"{name}-empty" if name in FILLED else name
    user = house.somebody("users:read", "my.own.permission")
    at = f"/web/admin/users/{user.user_key}"
    admin.send(f"{at}/permissions", others="my.own.permission another:one")
    admin.send(f"{at}/disable")
    admin.send(f"{at}/enable")
    assert user.visit.log_in().status_code == 303
    body = {"user_key": user.user_key, "user_secret": "not this one"}
    house.people.client.post("/authenticate", json=body)
    for name, path in OF_A_USER.items():
        window.go(f"/admin/users/{user.user_key}{path}")
        yield name
    yield from changes(window, user)
    gone = house.somebody()
    admin.send(f"/web/admin/users/{gone.user_key}/erase", name=gone.user_key)
    for name, path in (("erased", ""), ("erased-as-of", "/as-of?version=1")):
        window.go(f"/admin/users/{gone.user_key}{path}")
        yield f"admin-user-{name}"
    admin.send("/web/admin/keys/rotate")
    spoil(house)
    to = admin.send("/web/admin/projections/user_directory/rebuild", accept="no")
    once(admin, to, "was not swapped")
    window.go(to)
    yield "admin-projections-differs"
    begin_beside(house, "token_lookup", 7)
    for name, path in FILLED.items():
        window.go(path)
        yield name
    house.people.new()
    window.go("/admin")
    window.page.get_by_text("As a table").click()
    yield "admin-table"
    window.go("/admin/log")
    window.page.locator(".event summary").first.click()
    yield "admin-log-open"
    reader = house.somebody("users:read", "projections:read", "keys:read")
    cookie = {"name": "gatebook", "value": reader.visit.token, "url": house.origin}
    window.page.context.add_cookies([cookie])  # type: ignore[list-item]
    paths = {"admin": "/admin", "user": f"/admin/users/{admin.user_key}", "keys": "/admin/keys"}
    for name, path in paths.items():
        window.go(path)
        yield f"reader-{name}"
    window.expected = {"403"}
    window.go("/admin/log")
    yield "reader-refused"


def changes(window: Window, user: Somebody) -> Iterator[str]:
    """One that is done, and one that is refused."""
    window.go(f"/admin/users/{user.user_key}")
    window.press("Set the permissions")
    window.page.get_by_text("The permissions were set.").wait_for()
    yield "admin-user-done"
    window.page.fill("#user_secret", "short")
    window.press("Set the secret")
    window.page.locator("#user_secret-error").wait_for()
    yield "admin-user-refused"


@pytest.mark.parametrize("looks", LOOKS)
def test_no_page_of_it_is_in_anybody_s_way(look: Browsing, house: House, looks: Looks) -> None:
    with house.people.store() as store, store.storage.transaction() as rows:
        rows.execute("DELETE FROM rebuilds")
        rows.commit()
    admin = house.somebody("admin")
    window = admin.opens(look, "/admin")
    seen = []
    for name in steps(window, house, admin):
        check(window, name, looks)
        seen.append(name)
    assert len(seen) > len(EMPTY) + 2 * len(FILLED) + len(OF_A_USER)
    assert SECRET not in window.page.content()
