"""djangorestframework-simplejwt #863: a rotated refresh token can't be revoked.

Only the first token of a login was kept among the outstanding ones, so that ending a user's tokens
left the successors alive, and whoever had stolen one rotated on for ever. Here what is ended is the
session, by whatever means there are; a successor is listed with it and ends with it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from app.caller import command_line
from tests.advisories.steps import expect_dead, expect_reason, family
from tests.http.steps import SECRET, authenticate, me, parts, refresh, register, seconds

NEW_SECRET = "a loud drum of nine"
GENERATIONS = 4


def bearer(access: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {access}"}


class Theft(NamedTuple):
    """A family that somebody else has rotated; its owner and an administrator, logged in."""

    api: Any
    tokens: list[str]
    user: str
    owner: dict[str, str]
    admin: dict[str, str]

    def revoke(self, token: str):
        return self.api.post("/revoke", json={"refresh_token": token})


ENDS = {
    "first token": lambda theft: theft.revoke(theft.tokens[0]),
    "newest token": lambda theft: theft.revoke(theft.tokens[-1]),
    "session": lambda theft: theft.api.delete(
        f"/sessions/{theft.tokens[-1][4:26]}", headers=theft.owner
    ),
    "all sessions": lambda theft: theft.api.delete("/sessions", headers=theft.owner),
    "all others": lambda theft: theft.api.delete("/sessions?keep=current", headers=theft.owner),
    "new secret": lambda theft: theft.api.post(
        "/me/secret",
        json={"user_secret": SECRET, "new_user_secret": NEW_SECRET},
        headers=theft.owner,
    ),
    "administrator": lambda theft: theft.api.delete(f"{theft.user}/sessions", headers=theft.admin),
    "reset secret": lambda theft: theft.api.put(
        f"{theft.user}/secret", json={"user_secret": NEW_SECRET}, headers=theft.admin
    ),
    "disabled": lambda theft: theft.api.post(f"{theft.user}/disable", headers=theft.admin),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_rotated_token_ends_with_its_session(start, stored, how) -> None:
    """Security rule 16."""
    api = start()
    user_key, admin_key = register(api, "Ada"), register(api, "Root")
    grant = start.service.administration.grant
    assert api.blocking_portal.call(grant, admin_key, ["admin"], command_line())
    tokens = family(api, authenticate(api, user_key)["refresh_token"], GENERATIONS)
    access = refresh(api, tokens[-1]).json()["access_token"]
    owner, admin = (bearer(authenticate(api, key)["access_token"]) for key in (user_key, admin_key))

    answer = ENDS[how](Theft(api, tokens, f"/users/{user_key}", owner, admin))

    assert answer.status_code in {200, 204}, answer.text
    log = stored()
    reason = "user_disabled" if how == "disabled" else "revoked"
    for token in tokens:
        expect_dead(api, token, reason)
    expect_reason(me(api, access), reason)
    assert stored() == log


def test_a_rotated_session_is_listed_once_under_the_id_that_ends_it(api, clock) -> None:
    user_key = register(api)
    access = authenticate(api, user_key)["access_token"]
    first = authenticate(api, user_key)["refresh_token"]
    clock.shift(30)
    newest = family(api, first, GENERATIONS)[-1]
    items = api.get("/sessions", headers=bearer(access)).json()["items"]
    mine, rotated = items
    assert (mine["session_id"], mine["current"]) == (parts(access)[1]["sid"], True)
    assert (rotated["session_id"], rotated["current"]) == (newest[4:26], False)
    assert seconds(rotated["last_used_at"]) - seconds(rotated["started_at"]) > 29
