"""Who may see what of the administration: by what is looked up each time, never by the cookie."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from app.web.admin.controllers import ADMINISTRATION
from tests.http.steps import SECRET
from tests.pages.test_refused import ELSEWHERE

if TYPE_CHECKING:
    from tests.pages.browsing import Browsing
    from tests.pages.house import House

USER = "uk_00000000000000000000000000"
PAGES = {
    "/admin/users": "users:read",
    "/admin/users/new": "users:write",
    f"/admin/users/{USER}": "users:read",
    f"/admin/users/{USER}/as-of": "users:read",
    f"/admin/users/{USER}/erase": "users:write",
    "/admin/log": "events:read",
    "/web/admin/log/live": "events:read",
    "/admin/projections": "projections:read",
    "/admin/keys": "keys:read",
    "/admin/keys/rotate": "keys:write",
    "/admin/keys/rotate-now": "keys:write",
    "/admin/status": "admin",
}
FORMS = {
    "/web/admin/users": "users:write",
    f"/web/admin/users/{USER}/permissions": "users:write",
    f"/web/admin/users/{USER}/secret": "users:write",
    f"/web/admin/users/{USER}/disable": "users:write",
    f"/web/admin/users/{USER}/enable": "users:write",
    f"/web/admin/users/{USER}/end-sessions": "users:write",
    f"/web/admin/users/{USER}/erase": "users:write",
    "/web/admin/projections/revocations/rebuild": "projections:write",
    "/web/admin/projections/revocations/cancel": "projections:write",
    "/web/admin/projections/retry": "projections:write",
    "/web/admin/keys/rotate": "keys:write",
    "/web/admin/keys/rotate-now": "keys:write",
}
WITH_FIELDS = ("/users", "/permissions", "/secret", "/erase", "/rebuild")
EVERYTHING = {*PAGES.values(), *FORMS.values()} - {"admin"}


def paths(method: str) -> set[str]:
    """Every path of the administration that takes a method, with a user and a view named in it."""
    return {
        path.replace("{user_key:str}", USER).replace("{name:str}", "revocations")
        for controller in ADMINISTRATION
        for handler in vars(controller).values()
        for path in getattr(handler, "paths", ())
        if method in handler.http_methods
    }


def test_every_page_and_form_is_among_those_that_are_tried() -> None:
    assert paths("GET") == {*PAGES, "/admin"}
    assert paths("POST") == set(FORMS)


def test_a_stranger_is_led_to_the_login_and_back(any_house: House) -> None:
    with httpx.Client(base_url=any_house.origin) as client:
        for path in [*PAGES, "/admin"]:
            answer = client.get(path)
            if path.endswith("/live"):
                assert answer.status_code == 401
                continue
            assert answer.status_code == 303
            assert answer.headers["location"] == f"/login?next={path.replace('/', '%2F')}"
        for path in FORMS:
            answer = client.post(path, data={"x": "y"}, headers={"origin": any_house.origin})
            assert answer.status_code == 303


def test_each_page_and_form_needs_its_permission(any_house: House) -> None:
    """Whoever has every other one is refused, by a page that names what is missing."""
    for needed in sorted({*PAGES.values(), *FORMS.values()}):
        visitor = any_house.somebody(*(EVERYTHING - {needed}))
        for path in [path for path, permission in PAGES.items() if permission == needed]:
            assert f"This needs the permission {needed}." in visitor.page(path, 403)
        for path in [path for path, permission in FORMS.items() if permission == needed]:
            assert f"This needs the permission {needed}." in visitor.send(path, 403)


def test_each_permission_alone_shows_its_pages(any_house: House) -> None:
    for permission, path, hidden in (
        ("users:read", "/admin/users", "/admin/log"),
        ("events:read", "/admin/log", "/admin/users"),
        ("projections:read", "/admin/projections", "/admin/keys"),
        ("keys:read", "/admin/keys", "/admin/projections"),
    ):
        visitor = any_house.somebody(permission)
        overview = visitor.page("/admin")
        assert f'<a href="{path}"' in overview
        assert f'<a href="{hidden}"' not in overview
        assert "Ask an administrator for it." in overview
        assert visitor.visit.get(path).status_code == 200
        assert ('class="charts"' in overview) == (permission == "events:read")
        assert 'href="/admin"' in visitor.page("/account")


def test_who_may_nothing_sees_nothing_of_it(any_house: House) -> None:
    visitor = any_house.somebody()
    assert 'href="/admin"' not in visitor.page("/account")
    told = visitor.page("/admin", 403)
    assert "Insufficient permission" in told
    assert "one of the permissions users:read, events:read, projections:read, keys:read." in told


def test_what_is_given_counts_at_once_and_the_refusal_says_so(any_house: House) -> None:
    """No page has an access token that was to be refreshed."""
    visitor = any_house.somebody()
    for path in ("/admin", "/admin/users"):
        told = visitor.page(path, 403)
        assert "Once it is given it counts at once: load this page again." in told
        assert "access token" not in told
    any_house.people.grant(visitor.user_key, "users:read")
    for path in ("/admin", "/admin/users"):
        visitor.page(path)


def test_who_may_read_alone_is_offered_no_change(any_house: House) -> None:
    visitor = any_house.somebody("users:read", "projections:read", "keys:read")
    for path in (f"/admin/users/{visitor.user_key}", "/admin/projections", "/admin/keys"):
        text = visitor.page(path)
        assert "Ask an administrator for it." in text
        assert set(re.findall(r'action="([^"]*)"', text)) == {"/web/logout"}
    text = visitor.page(f"/admin/users/{visitor.user_key}")
    assert "To see the events of this user you need <code>events:read</code>" in text
    turn = visitor.page(f"/admin/users/{visitor.user_key}/as-of")
    assert "you need <code>events:read</code>" in turn
    assert "request_id" not in turn


def test_what_is_taken_away_counts_for_the_next_request(any_house: House) -> None:
    """Security rule 16."""
    visitor = any_house.somebody("admin")
    for path in ("/admin/users", "/admin/log", "/admin/status"):
        visitor.page(path)
    any_house.takes(visitor.user_key, "admin")
    for path in ("/admin/users", "/admin/log", "/admin/status"):
        visitor.page(path, 403)
    visitor.send("/web/admin/users", 403, user_id="eve", user_secret=SECRET)
    visitor.send("/web/admin/keys/rotate", 403)


@pytest.mark.parametrize("headers", ELSEWHERE, ids=str)
def test_a_form_of_another_site_does_nothing(house: House, headers: dict[str, str]) -> None:
    admin = house.somebody("admin")

    with house.people.store() as store, store.storage.snapshot() as rows:
        count = rows.fetch("SELECT count(*) FROM events")
    for path in FORMS:
        answer = admin.visit.send(path, {"user_id": "eve", "user_secret": SECRET}, **headers)
        assert answer.status_code == 400
        assert "was not sent from a page of this service" in answer.text
    with house.people.store() as store, store.storage.snapshot() as rows:
        assert rows.fetch("SELECT count(*) FROM events") == count


def test_a_form_with_fields_of_another_page_is_refused(house: House) -> None:
    admin = house.somebody("admin")
    for path in [path for path in FORMS if path.endswith(WITH_FIELDS)]:
        assert "fields that are not of this page" in admin.send(path, 400, sudo="1")


def test_a_refusal_takes_the_whole_place_where_a_part_was_asked_for(
    look: Browsing, house: House
) -> None:
    """By htmx, which would show nothing of it."""
    admin = house.somebody("admin")
    window = admin.opens(look, "/admin/projections")
    window.expected = {"403"}
    house.takes(admin.user_key, "admin")
    window.press("Rebuild revocations")
    window.page.get_by_role("heading", name="Insufficient permission").wait_for()
    assert window.page.get_by_role("banner").is_visible()
    assert window.page.get_by_role("main").count() == 1
