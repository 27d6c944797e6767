"""GoTrue (supabase/auth): a revoked family's descendants go on refreshing.

Revoking a family stamps every token of it (#1167), and a revoked token is good for the reuse
interval after its stamp (#466, #1278), so that for seconds each descendant still gets a successor.
Here a token is its session's generation and nothing of its own: when the session has ended, by
whichever token, no generation gives anything, at once and for ever.
"""

from __future__ import annotations

import pytest

from tests.advisories.steps import expect_dead, expect_reason, family, rotate, rotated
from tests.http.steps import authenticate, me, refresh, register

GENERATIONS = 5


@pytest.mark.parametrize("stolen", [1, 3])
def test_no_descendant_refreshes_after_reuse_was_detected(api, stored, clock, stolen) -> None:
    """Security rule 16."""
    tokens = family(api, authenticate(api, register(api))["refresh_token"], GENERATIONS - 1)
    newest = rotated(api, tokens[-1])
    tokens.append(newest["refresh_token"])
    expect_reason(rotate(api, tokens[stolen - 1]), "reused")
    expect_reason(me(api, newest["access_token"]), "reused")
    log = stored()
    assert log[-2:] == ["refresh_token.reuse_detected", "refresh_token.revoked"]
    for later in (0, 5, 60, 86_400):
        clock.shift(later)
        for token in reversed(tokens):
            expect_dead(api, token, "reused")
    assert stored() == log


@pytest.mark.parametrize("shown", range(1, GENERATIONS + 1))
def test_no_descendant_refreshes_after_any_token_of_the_family_was_revoked(
    api, stored, shown
) -> None:
    tokens = family(api, authenticate(api, register(api))["refresh_token"], GENERATIONS)
    assert api.post("/revoke", json={"refresh_token": tokens[shown - 1]}).status_code == 200
    log = stored()
    assert log[-1] == "refresh_token.revoked"
    for token in reversed(tokens):
        expect_dead(api, token, "revoked")
    assert stored() == log


def test_another_family_of_the_user_goes_on(api) -> None:
    user_key = register(api)
    tokens = family(api, authenticate(api, user_key)["refresh_token"], GENERATIONS)
    other = authenticate(api, user_key)["refresh_token"]
    expect_reason(refresh(api, tokens[0]), "reused")
    family(api, other, GENERATIONS)
    expect_dead(api, tokens[-1], "reused")
