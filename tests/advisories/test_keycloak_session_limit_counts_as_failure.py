"""Keycloak #44474: who has too many sessions is taken for somebody who guesses.

A login that the session limit refused was counted as a wrong secret, and locked the account after
some more. Here the limit refuses nobody: the oldest session ends to make room, and neither a
failure is recorded nor a guess spent (security rule 18).
"""

from __future__ import annotations

from app.throttle import FAILURES
from domain.policy import Policy
from tests.advisories.steps import at_once, expect_dead, guesses_left, login
from tests.http.steps import authenticate, refresh, register

BEYOND = 12
LOGINS = Policy().session_cap + BEYOND


def test_the_oldest_session_makes_room_and_no_failure_is_recorded(start, stored) -> None:
    api = start()
    user_key = register(api)
    tokens = [authenticate(api, user_key)["refresh_token"] for _ in range(LOGINS)]
    expect_dead(api, tokens[BEYOND - 1], "revoked")
    assert refresh(api, tokens[BEYOND]).status_code == 200
    assert refresh(api, tokens[-1]).status_code == 200
    start.stop()  # which records the failures of the last minute
    log = stored()
    assert log.count("user.logged_in") == LOGINS
    assert log.count("refresh_token.revoked") == BEYOND
    assert "user.login_failed" not in log


def test_logins_beyond_the_limit_spend_no_guess(api) -> None:
    user_key = register(api)
    for _ in range(2):
        answers = at_once(api, [login(user_key)] * LOGINS)
        assert [answer.status_code for answer in answers] == [200] * LOGINS
    assert guesses_left(api, user_key) == FAILURES
