"""django-oauth-toolkit #1816 (#1818): in the grace period a token that was revoked is good again.

«Rotated» and «revoked» were one column, so that whoever logged out could still be refreshed until
the window closed. Here a window belongs to a session that lives: nothing is a retry of a session
that has ended.
"""

from __future__ import annotations

import pytest

from tests.advisories.steps import expect_dead, rotated
from tests.http.steps import authenticate, register


@pytest.mark.parametrize("shown", ["predecessor", "successor"])
def test_the_window_closes_when_the_session_is_revoked(api, stored, shown) -> None:
    old = authenticate(api, register(api))["refresh_token"]
    successor = rotated(api, old)["refresh_token"]
    token = {"predecessor": old, "successor": successor}[shown]
    assert api.post("/revoke", json={"refresh_token": token}).json() == {}
    log = stored()
    assert log[-1] == "refresh_token.revoked"
    expect_dead(api, old, "revoked")
    expect_dead(api, successor, "revoked")
    assert stored() == log
