"""The guide's steps, as a visitor takes them in a window.

Knows what the steps are called, and nothing of what a test looks at.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tests.http.steps import SECRET
from tests.pages.browsing import Browsing, Chromium, Window
from tests.pages.visits import new_name
from tests.running import running, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page, Route

BUTTONS: Final = {
    "register": "Register",
    "authenticate": "Get an access token",
    "refresh": "Refresh",
    "use": "Who am I?",
    "rotate": "Rotate it twice, as your program does",
    "reuse": "Use the old one, as the thief does",
}
"""What is pressed, step by step."""
HELD: Final = (
    "[document.cookie, location.href, JSON.stringify({...localStorage}),"
    " JSON.stringify({...sessionStorage}), JSON.stringify(history.state)].join()"
)
"""What a page keeps where another one can find it."""

UNAVAILABLE: Final = {
    "type": "/errors/unavailable",
    "title": "Temporarily unavailable",
    "status": 503,
    "detail": "The store can't be written right now.",
    "code": "unavailable",
}
"""What a service says that didn't see its store answer in time."""


class Guide:
    """The start page in a window, and somebody who tries it."""

    def __init__(self, window: Window, name: str = "") -> None:
        self.window = window
        self.page: Page = window.go("/")
        self.name = name or new_name()

    def fill(self, user_id: str = "", secret: str = SECRET) -> None:
        """Fill in the first form."""
        self.page.fill("#register-user_id", user_id or self.name)
        self.page.fill("#register-user_secret", secret)

    def press(self, step: str) -> Locator:
        """Press a step's button; what was asked and answered, once the log was asked too."""
        self.page.locator(f"#try-{step} button").first.click()
        return self.settled(step)

    def settled(self, step: str) -> Locator:
        """The same, however the step was begun."""
        self.page.locator(f"#try-{step}:not([data-busy])").wait_for()
        return self.page.locator(f"#outcome-{step}")

    def lose(self, path: str, *instead: int) -> None:
        """What is asked next at this path is done, and its answer lost; or another one given."""
        self.window.may_be_cut_off = True

        def lost(route: Route) -> None:
            route.fetch()
            if instead:
                route.fulfill(status=instead[0], json=UNAVAILABLE)
            else:
                route.abort()

        self.page.route(f"**{path}", lost, times=1)

    def register(self) -> str:
        """The key that comes of it."""
        self.fill()
        self.press("register")
        return self.page.locator("#authenticate-user_key").input_value()

    def until(self, last: str) -> None:
        """Every step up to this one, which are all answered well but for the thief's."""
        self.register()
        for step in list(BUTTONS)[1:]:
            self.press(step)
            if step == last:
                return

    def said(self, step: str) -> str:
        """What the step announced."""
        return self.page.locator(f"#said-{step}").inner_text()

    @property
    def events(self) -> list[str]:
        """The types of the events that are shown, oldest first."""
        return self.page.locator("#events-list .what").all_inner_texts()[::-1]


@contextmanager
def serving(browser: Chromium, folder: Path, **given: str) -> Iterator[Browsing]:
    """Windows at a service with other settings, in which nothing may be wrong."""
    with running(settings(f"sqlite:///{folder}/gatebook.db", **given)) as server:
        browsing = Browsing(browser, f"http://127.0.0.1:{server.port}")
        yield browsing
        assert browsing.close() == []
