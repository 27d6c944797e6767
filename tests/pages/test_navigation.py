"""Which links in the head of a page and among its tabs say that one is there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.http.steps import SECRET
from tests.pages.visits import new_name

if TYPE_CHECKING:
    from tests.pages.house import House
    from tests.pages.visits import Visit


def marked(text: str) -> list[str]:
    """The links that say that one is there."""
    return re.findall(r'aria-current="page">([^<]*)<', text)


def test_a_refused_form_stands_where_it_was(house: House) -> None:
    """In the head of the page, and among the tabs."""
    admin = house.somebody("users:read", "users:write")
    at = f"/admin/users/{house.somebody().user_key}"
    for shown, sent, status, fields in (
        ("/admin/users/new", "/web/admin/users", 400, {"user_id": "a b", "user_secret": SECRET}),
        (at, f"/web{at}/secret", 400, {"user_secret": "password1"}),
        (f"{at}/erase", f"/web{at}/erase", 400, {"name": "nobody"}),
        ("/account/secret", "/web/secret", 401, {"user_secret": "x", "new_user_secret": SECRET}),
        ("/account/erase", "/web/erase", 401, {"user_secret": "x"}),
    ):
        before = marked(admin.page(shown))
        assert before == (["Account"] if "account" in shown else ["Admin", "Users"])
        assert marked(admin.send(sent, status, **fields)) == before


def test_so_do_the_forms_of_strangers(stranger: Visit) -> None:
    wrong = {"user": new_name(), "user_secret": SECRET, "next": "/account"}
    assert marked(stranger.send("/web/login", wrong).text) == ["Log in"]
    short = {"user_id": new_name(), "user_secret": "x"}
    assert marked(stranger.send("/web/register", short).text) == ["Register"]
