"""No page holds a token where a script can read it, whoever opens it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest

from app.web.asset import AssetController
from app.web.controllers import CONTROLLERS
from tests.http.steps import SECRET
from tests.pages.guiding import HELD, Guide
from tests.pages.visits import new_name

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.pages.browsing import Browsing
    from tests.pages.house import House

NO_PAGES: Final = {"/web/admin/log/live"}
OF_DOCS: Final = "/docs"
"""Where tokens are shown as examples, cut short."""
PATHS: Final = {
    "{user_key:str}": "",
    "{name:path}": "tutorial/first-token",
    "{code:str}": "invalid_token",
}
TOKEN: Final = re.compile(r"gbr_[0-9A-Za-z]{77}|eyJ[\w-]+\.[\w-]+\.[\w-]+")
DOCUMENT: Final = (
    "[document.documentElement.outerHTML, document.documentElement.textContent,"
    " ...[...document.querySelectorAll('input')].map((each) => each.value)].join('\\n')"
)


def pages(user_key: str) -> list[str]:
    """Every page that there is, with a user, a text and a problem named where one has to be."""
    found = {
        path
        for controller in {*CONTROLLERS} - {AssetController}
        for handler in vars(controller).values()
        for path in getattr(handler, "paths", ())
        if "GET" in handler.http_methods
    }
    named = {**PATHS, "{user_key:str}": user_key}
    for place, name in named.items():
        found = {path.replace(place, name) for path in found}
    return sorted(found - NO_PAGES)


def held(page: Page) -> str:
    """All that a script could find: as it is written, as it is read, and what stands in fields."""
    return str(page.evaluate(f"{HELD} + {DOCUMENT}"))


@pytest.mark.parametrize(
    "permissions",
    [
        pytest.param((), id="somebody", marks=pytest.mark.long),
        pytest.param(("admin",), id="administrator"),
    ],
)
def test_no_page_holds_a_token_where_a_script_can_read_it(
    look: Browsing, house: House, permissions: tuple[str, ...]
) -> None:
    """Security rule 24: of every page that there is, also of those that refuse."""
    window = look.window()
    user_key, page = window.enter(new_name(), SECRET), window.page
    if permissions:
        house.people.grant(user_key, *permissions)
    else:
        window.expected = {"403"}
    (cookie,) = [each for each in page.context.cookies() if each["name"] == "gatebook"]
    seen = {}
    for path in pages(user_key):
        answer = page.goto(f"{window.origin}{path}")
        assert answer
        seen[path] = answer.status
        text = held(page)
        assert "Gatebook" in text
        for secret in (cookie["value"], SECRET):
            assert secret not in text, path
        assert not TOKEN.search(text), path
        if not path.startswith(OF_DOCS):
            assert "gbr_" not in text, path
            assert "eyJ" not in text, path
    assert TOKEN.fullmatch(cookie["value"])
    assert len(seen) > 20
    refused = {path for path, status in seen.items() if status != 200}
    assert refused == (set() if permissions else {each for each in seen if "/admin" in each})


def test_a_token_that_a_page_holds_is_found(look: Browsing) -> None:
    """The control: the guide shows the visitor's own, where it says so."""
    guide = Guide(look.window())
    guide.until("authenticate")
    assert TOKEN.search(held(guide.page))
