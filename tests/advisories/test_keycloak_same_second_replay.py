"""Keycloak #50999: an older refresh token is taken again in the second of its rotation.

Whether a token was stale was told from `iat` against the last refresh, both in whole seconds, so
that of several rotations in one second each token could be replayed. Here generations are compared,
never times: with the clock standing still a replay is refused like any other.
"""

from __future__ import annotations

from tests.advisories.steps import expect_dead, expect_reason, family, rotate, rotated
from tests.http.steps import authenticate, refresh, register


def test_an_older_token_is_reuse_in_the_same_microsecond(api, stored) -> None:
    tokens = family(api, authenticate(api, register(api))["refresh_token"], 3)
    expect_reason(rotate(api, tokens[0]), "reused")
    for token in tokens:
        expect_dead(api, token, "reused")
    assert stored().count("refresh_token.rotated") == 2


def test_the_token_just_before_is_refused_once_its_successor_was_used(api, stored) -> None:
    """And gives neither an access token nor a second branch; the session lives (§6)."""
    first, second = family(api, authenticate(api, register(api))["refresh_token"], 2)
    assert refresh(api, second).status_code == 200
    log = stored()
    expect_dead(api, first, "retired")
    assert stored() == log
    third = rotated(api, second)["refresh_token"]
    assert len({first, second, third}) == 3
