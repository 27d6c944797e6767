"""Refresh tokens that are the same for whoever logs in within one second.

A token made of the second and of claims that don't differ is the same text twice (node-jsonwebtoken
#399, grimmory #1182), so that one person's token finds, rotates or revokes another's session. Here
every session has 128 random bits, and each generation of it its own MAC: with the clock standing
still all tokens differ, and each is its own user's.
"""

from __future__ import annotations

from tests.advisories.steps import at_once, expect_dead, login, rotated
from tests.http.steps import authenticate, me, parts, refresh, register

USERS, EACH = 6, 5


def test_no_two_sessions_of_one_second_share_a_token(api) -> None:
    users = [register(api, f"user{number}") for number in range(USERS)] * EACH
    begun = [answer.json() for answer in at_once(api, map(login, users))]
    assert len({parts(each["access_token"])[1]["iat"] for each in begun}) == 1
    tokens = [each["refresh_token"] for each in begun]
    for _ in range(2):
        tokens += [rotated(api, token)["refresh_token"] for token in tokens[-len(users) :]]
    assert len(set(tokens)) == 3 * len(users)
    for user_key, token in zip(users, tokens[-len(users) :], strict=True):
        access = refresh(api, token).json()["access_token"]
        assert me(api, access).json()["user_key"] == user_key


def test_revoking_ones_token_ends_nobody_elses_session(api) -> None:
    ada, bob = (authenticate(api, register(api, name)) for name in ("Ada", "Bob"))
    api.post("/revoke", json={"refresh_token": ada["refresh_token"]})
    expect_dead(api, ada["refresh_token"], "revoked")
    assert refresh(api, bob["refresh_token"]).status_code == 200
    assert me(api, bob["access_token"]).status_code == 200
