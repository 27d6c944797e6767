"""A service that runs, with people at its pages: each with permissions, and a browser's cookie.

What only an operator can do is done in the store beside the service.
"""

from __future__ import annotations

import html
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from domain.commands import WithdrawPermissions
from tests.pages.visits import Visit

if TYPE_CHECKING:
    from tests.http.people import People
    from tests.pages.browsing import Browsing, Window
    from tests.running import Server


class Somebody(NamedTuple):
    """A visitor who is logged in, and the key."""

    visit: Visit
    user_key: str

    def page(self, path: str, status: int = 200) -> str:
        """What a page says, unescaped, when it has this status."""
        answer = self.visit.get(path)
        assert answer.status_code == status, re.findall("<p.*</p>", answer.text)
        return html.unescape(answer.text)

    def send(self, path: str, status: int = 303, **fields: str) -> str:
        """Send a form; where it leads, or what the page says that comes back."""
        answer = self.visit.send(path, fields)
        assert answer.status_code == status, re.findall("<p.*</p>", answer.text)
        return answer.headers["location"] if status == 303 else html.unescape(answer.text)

    def opens(self, browse: Browsing, path: str, **look: object) -> Window:
        """A window of this visitor's browser at a page."""
        window = browse.window(**look)  # type: ignore[arg-type]
        cookie = {"name": "gatebook", "value": self.visit.token, "url": self.visit.origin}
        window.page.context.add_cookies([cookie])  # type: ignore[list-item]
        window.go(path)
        return window


class House(NamedTuple):
    """The service."""

    server: Server
    people: People
    leaving: ExitStack
    """Whoever came leaves with it."""

    @property
    def origin(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server.port}"

    def somebody(self, *permissions: str) -> Somebody:
        """Somebody new who has these, logged in at the pages."""
        visit = self.leaving.enter_context(Visit(self.origin))
        user_key = visit.register()
        if permissions:
            self.people.grant(user_key, *permissions)
        assert visit.log_in().status_code == 303
        return Somebody(visit, user_key)

    def takes(self, user_key: str, *permissions: str) -> None:
        """Take permissions away, as an operator."""
        self.people.wish(WithdrawPermissions(user_key, permissions))

    def secrets(self) -> list[str]:
        """Whatever in its log must not be there."""
        return re.findall(
            r"gbr_[0-9A-Za-z_-]{20,}|eyJ[0-9A-Za-z_-]{20,}", self.server.said.decode()
        )
