"""Keycloak #48272 (#33527): of several right logins at once all but one are locked out.

To keep parallel guesses from slipping past the counter a second login in flight is refused, right
or wrong. Here a place in flight comes back when the secret was right: who finds none free waits for
one, so that right logins never refuse one another, however many (security rule 18).
"""

from __future__ import annotations

from app.throttle import FAILURES, STRANGERS
from tests.advisories.steps import at_once, guesses_left, login
from tests.http.steps import register

CROWD = FAILURES + 28
"""More than there are places at an address or an account."""


def test_right_logins_of_one_user_at_once_all_get_in(api) -> None:
    user_key = register(api)
    answers = at_once(api, [login(user_key)] * CROWD)
    assert [answer.status_code for answer in answers] == [200] * CROWD
    assert len({answer.json()["refresh_token"] for answer in answers}) == CROWD


def test_right_logins_of_many_users_from_one_address_all_get_in(api) -> None:
    """A school, an office: one address."""
    users = [register(api, f"user{number}") for number in range(8)]
    answers = at_once(api, [login(users[number % 8]) for number in range(CROWD)])
    assert [answer.status_code for answer in answers] == [200] * CROWD


def test_right_logins_at_once_spend_nothing(api) -> None:
    """Afterwards there are as many guesses as before, and not one more."""
    user_key = register(api)
    at_once(api, [login(user_key)] * CROWD)
    assert guesses_left(api, user_key) == FAILURES


def test_wrong_logins_at_once_are_counted_all_the_same(api) -> None:
    """The control: places in flight are what parallel guesses can't get around."""
    assert guesses_left(api, register(api)) == STRANGERS
