"""django-oauth-toolkit #702: in the grace period a retry is given the revoked refresh token.

Who had lost the first answer got a new access token and the old refresh token back, and was out
with the next refresh. Here every answer in the window holds the one successor, which is good.
"""

from __future__ import annotations

import pytest

from tests.advisories.steps import expect_reason, rotate, rotated
from tests.http.steps import authenticate, me, parts, refresh, register

ALMOST = 59.9
"""Seconds; the window closes after 60."""


@pytest.mark.parametrize("setting", ["on-request", "always"])
def test_every_answer_in_the_window_holds_the_good_successor(start, clock, stored, setting) -> None:
    api = start(REFRESH_ROTATION=setting)
    old = authenticate(api, register(api))["refresh_token"]
    successor = rotated(api, old)["refresh_token"]
    for seconds in (0, 10, ALMOST - 10):
        clock.shift(seconds)
        retried = rotated(api, old)
        assert retried["refresh_token"] == successor != old
        assert me(api, retried["access_token"]).status_code == 200
    assert stored().count("refresh_token.rotated") == 1
    third = rotated(api, successor)["refresh_token"]
    assert third not in {old, successor}
    assert refresh(api, third).status_code == 200


def test_the_successor_of_a_retry_from_elsewhere_is_the_same(api, clock) -> None:
    """As a telephone that changes its network between the two."""
    old = authenticate(api, register(api))["refresh_token"]
    successor = rotated(api, old)["refresh_token"]
    clock.shift(5)
    for agent in ("one", "two"):
        answer = rotate(api, old, headers={"User-Agent": agent})
        assert answer.json()["refresh_token"] == successor
    assert refresh(api, successor).status_code == 200


def test_a_retry_that_doesnt_rotate_gives_a_good_access_token(api) -> None:
    tokens = authenticate(api, register(api))
    successor = rotated(api, tokens["refresh_token"])["refresh_token"]
    answer = refresh(api, tokens["refresh_token"])
    assert set(answer.json()) == {"access_token"}
    access = answer.json()["access_token"]
    assert parts(access)[1]["sid"] == parts(tokens["access_token"])[1]["sid"]
    assert me(api, access).status_code == 200
    assert refresh(api, successor).status_code == 200


def test_after_the_window_there_is_no_successor_to_be_had(api, clock) -> None:
    """The control: it is the window that makes a retry good."""
    old = authenticate(api, register(api))["refresh_token"]
    successor = rotated(api, old)["refresh_token"]
    clock.shift(61)
    expect_reason(rotate(api, old), "reused")
    expect_reason(refresh(api, successor), "reused")
