"""The documentation in a browser: to be read, searched and walked through by everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app.web.docs_files import files
from tests.docs.pages import ROOT
from tests.pages.browsing import NARROW, Browsing
from tests.pages.looking import LOOKS, Looks, check, check_text

if TYPE_CHECKING:
    from playwright.sync_api import Page

TYPICAL = {
    "docs-map": "/docs",
    "docs-tutorial": "/docs/tutorial/protected-endpoint",
    "docs-reference": "/docs/reference/settings",
    "docs-client": "/docs/reference/python-client",
    "docs-explanation": "/docs/explanation/why-event-sourcing",
    "docs-found": "/docs/search?q=rotate+keys",
    "docs-nothing-found": "/docs/search?q=xyzzy",
}
SECTIONS: dict[str, list[str]] = {}
"""The other pages."""
for each in (each for each in files(ROOT) if each.path not in TYPICAL.values()):
    SECTIONS.setdefault(each.section, []).append(each.path)


@pytest.fixture
def expect() -> Any:
    """Playwright's assertions, which wait; it takes long to import."""
    from playwright.sync_api import expect as waiting  # noqa: PLC0415

    return waiting


def focused(page: Page) -> str:
    """What has the keyboard."""
    return str(page.evaluate("document.activeElement.textContent.trim()"))


@pytest.mark.parametrize("looks", LOOKS)
def test_a_typical_page_is_in_nobody_s_way(browse: Browsing, looks: Looks) -> None:
    window = browse.window()
    for name, path in TYPICAL.items():
        window.go(path)
        check(window, name, looks)


@pytest.mark.long
@pytest.mark.parametrize("section", SECTIONS)
def test_no_text_is_in_anybody_s_way(browse: Browsing, section: str) -> None:
    """Head, side and foot are the same everywhere: axe looks at them on the typical pages."""
    window = browse.window()
    for path in SECTIONS[section]:
        window.go(path)
        check_text(window, path.strip("/").replace("/", "-"), ".top, .docs-side, .foot")


def test_what_is_typed_is_found_while_one_types(browse: Browsing, expect: Any) -> None:
    page = browse.window().go("/docs/how-to/change-keys")
    text = page.get_by_role("heading", name="Change keys", exact=True)
    expect(text).to_be_visible()
    page.get_by_role("searchbox").press_sequentially("leaked tok")
    found = page.locator("#found")
    expect(found.get_by_role("link", name="Respond to a leaked token").first).to_be_visible()
    expect(found.locator("mark", has_text="leaked").first).to_be_visible()
    expect(text).to_be_hidden()
    expect(page.locator("#found-status")).to_contain_text("pages")
    page.get_by_role("searchbox").fill("")
    expect(text).to_be_visible()
    expect(found.locator("h1")).to_have_count(0)
    assert page.url.endswith("/docs/how-to/change-keys")


def test_without_javascript_the_search_is_a_form(browse: Browsing, expect: Any) -> None:
    page = browse.window(javascript=False).go("/docs")
    page.get_by_role("searchbox").fill("threat model")
    page.get_by_role("button", name="Search").click()
    assert page.url.endswith("/docs/search?q=threat+model")
    page.locator("#found").get_by_role("link", name="Threat model").first.click()
    expect(page.get_by_role("heading", name="Threat model", level=1)).to_be_visible()


def test_the_keyboard_alone_gets_everywhere(browse: Browsing, expect: Any) -> None:
    page = browse.window().go("/docs")
    page.keyboard.press("Tab")
    assert focused(page) == "To the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert focused(page) == "To the text"
    page.keyboard.press("Tab")
    page.keyboard.type("grpc websocket")
    expect(page.get_by_text("Nothing has all of these words.")).to_be_visible()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("behind a proxy")
    page.keyboard.press("Enter")
    page.wait_for_url("**/docs/search?q=behind+a+proxy")
    page.locator("#found a").first.focus()
    first = focused(page)
    page.keyboard.press("Enter")
    page.wait_for_url("**/docs/how-to/run-behind-a-proxy**")
    assert first.startswith("Run it behind a proxy")
    skip = page.get_by_role("link", name="To the text")
    skip.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#text') !== null")


def test_what_is_folded_on_a_phone_is_opened_by_the_keyboard(browse: Browsing, expect: Any) -> None:
    page = browse.window(width=NARROW).go("/docs/how-to/change-keys")
    shown = page.get_by_role("navigation", name="On this page")
    expect(shown).to_have_count(0)
    page.locator("summary", has_text="On this page").focus()
    page.keyboard.press("Enter")
    expect(shown.get_by_role("link", name="The master key")).to_be_visible()
    page.locator("summary", has_text="All pages").focus()
    page.keyboard.press("Enter")
    pages = page.get_by_role("navigation", name="Documentation")
    expect(pages.get_by_role("link", name="Back up and restore")).to_be_visible()
    pages.locator("summary", has_text="Look something up").focus()
    page.keyboard.press("Enter")
    pages.get_by_role("link", name="Events").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/docs/reference/events")


def test_a_heading_is_reached_by_its_name(browse: Browsing, expect: Any) -> None:
    """As the model and other pages link an event."""
    page = browse.window().go("/docs/reference/events#userregistered")
    heading = page.get_by_role("heading", name="user.registered", exact=True)
    expect(heading).to_be_in_viewport()
    contents = page.get_by_role("navigation", name="On this page")
    contents.get_by_role("link", name="user.erased").click()
    expect(page.get_by_role("heading", name="user.erased", exact=True)).to_be_in_viewport()
    expect(heading).not_to_be_in_viewport()


def test_what_is_wider_than_the_page_is_scrolled_by_the_keyboard(browse: Browsing) -> None:
    page = browse.window(width=NARROW).go("/docs/how-to/change-keys")
    wide = page.locator("pre.output").first
    wide.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("(element) => element.scrollLeft > 0", arg=wide.element_handle())
