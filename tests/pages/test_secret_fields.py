"""Fields for secrets hide what is typed and help those who keep secrets; logging out is at hand."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import app
from tests.pages.visits import Visit

if TYPE_CHECKING:
    from tests.pages.house import House

WEB = Path(app.__file__).parent / "web"
ON_PASTE = re.compile(r"[\"'`]paste[\"'`]|\bonpaste\b|\bhx-on:+paste\b", re.IGNORECASE)
"""Something is done when somebody pastes."""
STRANGERS = {
    "/": {"user_secret": ["new-password", "current-password", "current-password"]},
    "/register": {"user_secret": ["new-password"]},
    "/login": {"user_secret": ["current-password"]},
}
VISITORS = {
    "/account": {},
    "/account/history": {},
    "/account/secret": {"user_secret": ["current-password"], "new_user_secret": ["new-password"]},
    "/account/erase": {"user_secret": ["current-password"]},
    "/admin": {},
    "/admin/users/new": {"user_secret": ["new-password"]},
    "/admin/users/{user_key}": {"user_secret": ["new-password"]},
    "/admin/log": {},
    "/admin/keys": {},
    "/admin/projections": {},
    "/docs": {},
    "/model": {},
}


class Fields(HTMLParser):
    """The inputs of a page whose name says that they are for a secret, and where forms lead."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}
        self.shown: list[str] = []
        self.forms: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.forms.append(given.get("action") or "")
        name = given.get("name") or ""
        if tag != "input" or "secret" not in name:
            return
        self.found.setdefault(name, []).append(given.get("autocomplete") or "")
        if given.get("type") != "password" or "onpaste" in given or given.get("maxlength"):
            self.shown.append(name)


@pytest.fixture(scope="module")
def pages(house: House) -> dict[str, Fields]:
    """Each page as whoever may see it does."""
    admin = house.somebody("admin")
    with Visit(house.origin) as stranger:
        seen = {path: Fields(stranger.get(path).text) for path in STRANGERS}
    for path in VISITORS:
        seen[path] = Fields(admin.page(path.format(user_key=admin.user_key)))
    return seen


@pytest.mark.parametrize("path", [*STRANGERS, *VISITORS])
def test_a_field_for_a_secret_hides_it_and_says_which_it_is(
    pages: dict[str, Fields], path: str
) -> None:
    assert pages[path].found == {**STRANGERS, **VISITORS}[path]
    assert pages[path].shown == []


@pytest.mark.parametrize("path", VISITORS)
def test_logging_out_is_on_every_page_of_who_is_logged_in(
    pages: dict[str, Fields], path: str
) -> None:
    assert "/web/logout" in pages[path].forms


def test_no_script_keeps_anybody_from_pasting() -> None:
    """And no template."""
    scripts, templates = [*WEB.rglob("*.js")], [*WEB.rglob("*.html")]
    assert scripts
    assert templates
    minding = [each for each in (*scripts, *templates) if ON_PASTE.search(each.read_text("utf-8"))]
    assert minding == []


@pytest.mark.parametrize(
    "script",
    [
        'field.addEventListener("paste", refuse)',
        "field.addEventListener( 'paste', refuse)",
        'field["on" + "paste"] = refuse',
        "field.onpaste = refuse",
        "field.onpaste=refuse",
        '<input name="user_secret" onpaste="return false">',
        '<form hx-on:paste="event.preventDefault()">',
        '<form hx-on::paste="event.preventDefault()">',
    ],
)
def test_a_script_that_minds_pasting_is_found(script: str) -> None:
    """The control."""
    assert ON_PASTE.search(script)


def test_a_field_that_shows_a_secret_is_found() -> None:
    """The control."""
    assert Fields('<input name="user_secret">').shown == ["user_secret"]
