"""Keycloak #49960: a refresh in a live session lifts the lock that wrong secrets had brought.

An attacker had more guesses whenever the owner's browser renewed its tokens. Here a refresh and a
rotation neither give places back nor take any: as many guesses are looked at as without them, and
they work all the while (security rule 18).
"""

from __future__ import annotations

import pytest

from app.throttle import FAILURES, STRANGERS
from tests.advisories.steps import HOME, at_once, expect_reason, guesses_left, login, rotated
from tests.http.steps import authenticate, problem, refresh, register

STRANGER = "203.0.113.9"
OTHER_STRANGER = "192.0.2.9"
ROUNDS = 10


@pytest.mark.parametrize(
    ("bucket", "places"),
    [("strangers", STRANGERS), ("known network", FAILURES), ("address", FAILURES)],
)
def test_refreshing_gives_no_guess_back(api, bucket, places) -> None:
    """In none of the buckets, each filled while the others have room; the time stands still."""
    user_key = register(api)
    others = [register(api, f"user{number}") for number in range(ROUNDS)]
    (tokens,) = at_once(api, [login(user_key)])
    token = tokens.json()["refresh_token"]

    for number, other in enumerate(others):
        address, victim = {
            "strangers": (f"203.0.{number}.9", user_key),
            "known network": (f"{HOME.rpartition('.')[0]}.1{number}", user_key),
            "address": (STRANGER, other),
        }[bucket]
        wrong = login(victim, "not the secret")
        for answer in at_once(api, [wrong] * (places // ROUNDS), address=address):
            problem(answer, 401, "invalid_credentials")
        assert refresh(api, token).status_code == 200
        token = rotated(api, token)["refresh_token"]

    last = {"strangers": OTHER_STRANGER, "known network": HOME, "address": STRANGER}[bucket]
    for _ in range(2):
        (answer,) = at_once(api, [login(user_key)], address=last)
        problem(answer, 429, "too_many_attempts")
        assert refresh(api, token).status_code == 200
        token = rotated(api, token)["refresh_token"]


def test_refreshing_ends_the_lock_neither_sooner_nor_later(api, clock) -> None:
    user_key = register(api)
    token = authenticate(api, user_key)["refresh_token"]
    assert guesses_left(api, user_key, address=STRANGER) == STRANGERS
    (refused,) = at_once(api, [login(user_key)], address=OTHER_STRANGER)
    problem(refused, 429, "too_many_attempts")
    wait = int(refused.headers["retry-after"])
    for seconds, left in ((0, wait), (wait - 10, 10), (9, 1)):
        clock.shift(seconds)
        token = rotated(api, token)["refresh_token"]
        (refused,) = at_once(api, [login(user_key)], address=OTHER_STRANGER)
        problem(refused, 429, "too_many_attempts")
        assert int(refused.headers["retry-after"]) == left
    clock.shift(1)
    (answer,) = at_once(api, [login(user_key)], address=OTHER_STRANGER)
    assert answer.status_code == 200


def test_refreshing_spends_no_guess(api) -> None:
    """Not even a refused one: who refreshes with a dead token isn't guessing a secret."""
    user_key = register(api)
    token = authenticate(api, user_key)["refresh_token"]
    api.post("/revoke", json={"refresh_token": token})
    for answer in at_once(api, [("/refresh", {"refresh_token": token})] * (FAILURES + 20)):
        expect_reason(answer, "revoked")
    assert guesses_left(api, user_key) == STRANGERS
