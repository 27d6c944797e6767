"""The idle and the absolute limit of a session where a look-up alone can tell that it is over.

Nothing that is asked here is worth a record, so no rule of the domain has another look at it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import time_machine

from tests.http.steps import me, problem

if TYPE_CHECKING:
    import httpx

    from tests.http.people import Person

DAY = 86_400


def expired(answer: httpx.Response) -> None:
    assert problem(answer, 401, "invalid_token", "reason")["reason"] == "expired"


def test_a_use_that_is_not_worth_a_record_is_refused_past_the_absolute_limit(start) -> None:
    """Security rule 16."""
    with time_machine.travel(time.time(), tick=True) as clock:
        ada = start.people(SESSION_IDLE="10d", SESSION_MAX="25d").new()
        for _ in range(3):
            clock.shift(8 * DAY)
            assert ada.refreshed().status_code == 200
        with ada.recording() as recorded:
            clock.shift(DAY - 600)
            assert ada.refreshed().status_code == 200
            clock.shift(601)
            expired(ada.refreshed())
        assert recorded == []


def test_a_page_is_for_nobody_past_the_absolute_limit(start) -> None:
    """Security rule 16: where no access token is asked for, which wouldn't be given either."""
    with time_machine.travel(time.time(), tick=True) as clock:
        ada = start.people(SESSION_IDLE="10d", SESSION_MAX="8d").new()
        clock.shift(8 * DAY - 600)
        assert visited(ada) == 200
        with ada.recording() as recorded:
            clock.shift(590)
            assert visited(ada) == 200
            clock.shift(11)
            assert visited(ada) == 303
        assert recorded == []


@pytest.mark.parametrize("limit", ["SESSION_IDLE", "SESSION_MAX"])
def test_a_bearer_is_refused_past_either_limit_of_its_session(start, limit: str) -> None:
    """Security rule 16: the access token itself was asked for a whole hour."""
    with time_machine.travel(time.time(), tick=True) as clock:
        ada = start.people(**{limit: "600", "ACCESS_TOKEN_TTL": "3600"}).new()
        with ada.recording() as recorded:
            clock.shift(590)
            assert ada.get("/me").status_code == 200
            clock.shift(11)
            expired(ada.get("/me"))
        assert recorded == []


def test_a_bearer_that_was_given_for_longer_is_refused_past_a_shorter_idle_limit(start) -> None:
    """Security rule 16: the access token knows nothing of a limit that came after it."""
    with time_machine.travel(time.time(), tick=True) as clock:
        ada = start.people().new()
        start.stop()
        api = start(SESSION_IDLE="600")
        clock.shift(590)
        assert me(api, ada.access).status_code == 200
        clock.shift(11)
        expired(me(api, ada.access))


def visited(person: Person) -> int:
    cookie = {"Cookie": f"__Host-gatebook={person.refresh}"}
    client = person.people.client
    return client.get("/account", headers=cookie, follow_redirects=False).status_code
