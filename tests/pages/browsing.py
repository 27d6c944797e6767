"""A browser, and windows of it that keep account of what must not happen in them.

A request to another host, something that the page's policy forbids, an error in a script, and a
status that the test doesn't expect: each is a fault. Knows no page.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.oauth_clients import on_node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request

CHROMIUM: Final = Path("/usr/bin/chromium")
"""Debian's."""
SHOTS: Final = Path(__file__).parent / "shots"
"""What pages look like; none of it is kept in the repository."""
WIDE: Final = 1280
NARROW: Final = 320
WAIT_MS: Final = 30_000
"""Only ever spent when a test fails."""

_STATUS: Final = re.compile(r"the server responded with a status of (\d{3})")
_LOST: Final = re.compile(r"net::ERR_|^htmx:(?:afterRequest|sendError|timeout)\b")
_TELL: Final = """
document.addEventListener("securitypolicyviolation", (report) => {
  console.error(`CSP: ${report.violatedDirective} ${report.blockedURI}`);
});
"""


def lack_browser() -> None:
    """Skip, loudly, where there is none; in CI fail."""
    if not os.access(CHROMIUM, os.X_OK):
        on_node.lack("The pages were", f"there is no {CHROMIUM} here")


@contextmanager
def chromium() -> Iterator[Chromium]:
    """A browser that runs."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - seconds, where it is needed

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )
        yield Chromium(browser)
        browser.close()


class Chromium:
    """A browser, and pages of it that nobody looks at: to make another takes most of a second."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._free: dict[bool, list[Page]] = {True: [], False: []}

    def page(self, *, javascript: bool) -> Page:
        """An empty page, alone in a context that knows nothing yet."""
        if self._free[javascript]:
            return self._free[javascript].pop()
        context = self._browser.new_context(java_script_enabled=javascript)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.add_init_script(_TELL)
        return page

    def take_back(self, page: Page, origins: set[str], *, javascript: bool) -> None:
        """Have a page forget what was at these origins, so that it is as a new one."""
        context = page.context
        for each in context.pages:
            if each is not page:
                each.close()
        page.goto("about:blank")
        page.unroute_all(behavior="ignoreErrors")
        context.clear_cookies()
        context.clear_permissions()
        debugger = context.new_cdp_session(page)
        for origin in origins:
            everything = {"origin": origin, "storageTypes": "all"}
            debugger.send("Storage.clearDataForOrigin", everything)
        debugger.send("Network.clearBrowserCache")
        debugger.send("Page.resetNavigationHistory")
        debugger.detach()
        self._free[javascript].append(page)


class Window:
    """A page in a context of its own, or beside another one with the same cookies."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.faults: list[str] = []
        self.expected: set[str] = set()
        """Statuses that the test provokes."""
        self.elsewhere = origin
        """Another origin, whose page the test shows."""
        self.may_be_cut_off = False
        """Whether the test stops the service."""
        self.is_spent = False
        """Whether the test did what a page can't forget."""
        page.on("request", self._requested)
        page.on("console", self._told)
        page.on("pageerror", self._failed)

    def go(self, path: str) -> Page:
        """Open a page of the service."""
        self.page.goto(f"{self.origin}{path}")
        return self.page

    def press(self, name: str) -> None:
        """Press the button of this name in the page's main part."""
        self.page.locator("main").get_by_role("button", name=name, exact=True).click()

    def enter(self, name: str, secret: str) -> str:
        """Register somebody, and log in; the key."""
        page = self.go("/register")
        page.fill("#user_id", name)
        page.fill("#user_secret", secret)
        self.press("Register")
        user_key = page.locator("#user-key").inner_text()
        page.fill("#user_secret", secret)
        self.press("Log in")
        page.wait_for_url("**/account")
        return user_key

    def beside(self) -> Window:
        """Another window of the same browser."""
        page = self.page.context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.add_init_script(_TELL)
        other = Window(page, self.origin)
        other.faults = self.faults
        return other

    def stop_clock(self) -> None:
        """From now on time goes on in the page when the test says so."""
        self.is_spent = True
        self.page.clock.install()

    def leave(self) -> None:
        """Whatever the page does from now on is nobody's fault."""
        self.page.remove_listener("request", self._requested)
        self.page.remove_listener("console", self._told)
        self.page.remove_listener("pageerror", self._failed)

    def shot(self, name: str) -> None:
        """Keep what it looks like."""
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def violations(self) -> list[str]:
        """What axe finds, each with the elements that it is about."""
        # By the debugger's own protocol: the page's policy stays as it is.
        debugger = self.page.context.new_cdp_session(self.page)
        debugger.send("Runtime.evaluate", {"expression": axe()})
        found: Any = debugger.send(
            "Runtime.evaluate",
            {
                "expression": "axe.run(document, {preload: false})"
                ".then((found) => JSON.stringify(found.violations.map("
                "(each) => `${each.id}: ${each.nodes.map((node) => node.html).join(' ')}`)))",
                "awaitPromise": True,
                "returnByValue": True,
            },
        )
        debugger.detach()
        return list(json.loads(found["result"]["value"]))

    def sticks_out(self) -> bool:
        """Whether one has to scroll sideways."""
        return bool(
            self.page.evaluate(
                "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
            )
        )

    def _requested(self, request: Request) -> None:
        known = (f"{self.origin}/", f"{self.elsewhere}/", "data:", "about:")
        if not request.url.startswith(known):
            self.faults.append(f"a request elsewhere: {request.url}")

    def _failed(self, error: Error) -> None:
        self.faults.append(f"an error: {error}")

    def _told(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        status = _STATUS.search(message.text)
        if status is not None and status[1] in self.expected:
            return
        if self.may_be_cut_off and _LOST.search(message.text):
            return
        self.faults.append(f"{message.type}: {message.text}")


class Browsing:
    """Opens windows at a service; whatever is wrong in any of them is known in the end."""

    def __init__(self, chromium: Chromium, origin: str) -> None:
        self._chromium = chromium
        self._origin = origin
        self._windows: list[tuple[Window, bool]] = []

    def window(
        self,
        *,
        width: int = WIDE,
        dark: bool = False,
        javascript: bool = True,
        origin: str | None = None,
    ) -> Window:
        """A window of a browser that knows nothing yet."""
        page = self._chromium.page(javascript=javascript)
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
        opened = Window(page, origin or self._origin)
        self._windows.append((opened, javascript))
        return opened

    def close(self) -> list[str]:
        """Close all windows; what was wrong."""
        for window, javascript in self._windows:
            window.leave()
            if window.is_spent or window.page.is_closed():
                window.page.context.close()
            else:
                origins = {self._origin, window.origin, window.elsewhere}
                self._chromium.take_back(window.page, origins, javascript=javascript)
        return [fault for window, _ in self._windows for fault in window.faults]


def axe() -> str:
    """The source of axe-core, from where it is installed."""
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
