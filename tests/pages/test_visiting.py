"""For how long somebody may see what a page shows: as long as the session and the permission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app.bootstrap import Service
from app.http.body import StrictRequest
from app.sessions import Bearer
from app.web.redirect import LogInFirst
from app.web.visiting import standing
from domain.commands import GrantPermissions, WithdrawPermissions
from domain.errors import InsufficientPermission, InvalidToken
from tests.http.conftest import Starting
from tests.http.people import WAIT, People
from tests.http.steps import ISSUER, SECRET, register, stored
from tests.running import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "__Host-gatebook"


class Seen:
    """Somebody whose browser has a cookie, at a service in this process."""

    def __init__(self, starting: Starting, url: str) -> None:
        self._services: list[Service] = []
        self.api = starting(on_start=self._services.append)
        self.people = People(self.api, settings(url, ISSUER=ISSUER))
        self.user_key = register(self.api)
        fields = {"user": self.user_key, "user_secret": SECRET}
        self.api.post("/web/login", data=fields, headers={"origin": ISSUER})
        assert self.api.get("/account").status_code == 200

    def request(self, visitor: Bearer | None) -> StrictRequest:
        """As a page's handler gets it."""
        cookie = f"{NAME}={self.api.cookies[NAME]}".encode()
        scope: Any = {
            "type": "http",
            "service": self._services[0],
            "headers": [(b"cookie", cookie)],
            "visitor": visitor,
        }
        return StrictRequest(scope)

    def still(self) -> Bearer:
        """Whose session the cookie holds now."""
        sessions, token = self._services[0].page_sessions, self.api.cookies[NAME]
        return self.api.blocking_portal.call(sessions.still, token)


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Seen]:
    url = f"sqlite:///{tmp_path}/gatebook.db"
    starting = Starting(url)
    yield Seen(starting, url)
    starting.stop()


def test_a_stranger_has_to_log_in_first(seen: Seen) -> None:
    with pytest.raises(LogInFirst):
        standing(seen.request(None), "admin")


def test_who_lacks_the_permission_is_told_which(seen: Seen) -> None:
    with pytest.raises(InsufficientPermission, match="events:read"):
        standing(seen.request(seen.still()), "events:read")


def test_looking_whether_it_still_holds_records_nothing(seen: Seen, tmp_path: Path) -> None:
    before = stored(tmp_path)
    for _ in range(3):
        assert seen.still().user_key == seen.user_key
    assert stored(tmp_path) == before


def test_it_is_over_when_the_permission_or_the_session_is(seen: Seen) -> None:
    """A stream that is open: it hears of it within a second or so, and what it hears is the end."""
    portal = seen.api.blocking_portal
    for granted in (("events:read", "users:read"), ("users:read",)):
        seen.people.wish(GrantPermissions(seen.user_key, granted))
        permission = granted[0]
        waiting = portal.start_task_soon(standing(seen.request(seen.still()), permission).lost)
        assert not waiting.done()
        if permission == "events:read":
            seen.people.wish(WithdrawPermissions(seen.user_key, granted))
            assert waiting.result(WAIT) is None
    token = seen.api.cookies[NAME]
    seen.api.post("/revoke", json={"refresh_token": token})
    assert waiting.result(WAIT) is None
    with pytest.raises(InvalidToken):
        seen.still()


def test_a_token_that_was_replaced_is_not_the_session_any_more(seen: Seen) -> None:
    token = seen.api.cookies[NAME]
    rotated = seen.api.post("/refresh", json={"refresh_token": token, "rotate": True})
    assert rotated.status_code == 200
    with pytest.raises(InvalidToken):
        seen.still()
