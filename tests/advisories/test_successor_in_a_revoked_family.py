"""A successor minted inside a revoked family: the revocation came between look-up and rotation.

GoTrue swaps a token of a session that has no good token any more for a fresh one (supabase/auth
#1278, review); whoever reads, checks and then writes does so by accident. Here the rotation is
decided on the newest state under the append lock: it comes before the revocation, and ends with
it, or it is refused and leaves no event.
"""

from __future__ import annotations

from typing import Any

import pytest

from app.caller import command_line
from app.dispatcher import Dispatcher
from domain import commands
from domain.commands import Command
from domain.sealed import Clear
from domain.stream import Meta, Recorded
from tests.advisories.steps import Assembled, at_once, expect_dead, expect_reason, rotate, rotated
from tests.http.steps import authenticate, refresh, register

ENDS = {
    "owner": lambda asked: commands.EndSession(asked.user_key, asked.session_id, "owner"),
    "end_all": lambda asked: commands.EndSessions(asked.user_key, "end_all"),
    "disabled": lambda asked: commands.DisableUser(asked.user_key),
    "secret": lambda asked: commands.ResetSecret(asked.user_key, Clear("$argon2id$none")),
    "reuse": lambda asked: commands.PresentRetired(
        asked.user_key, asked.session_id, asked.generation - 2, elsewhere=False, seen_at=0
    ),
}
REASONS = {"disabled": "user_disabled", "reuse": "reused"}


class Overtaken:
    """A dispatcher whose callers always come second: what ends the session is decided first."""

    def __init__(self, dispatcher: Dispatcher, how: str) -> None:
        self._dispatcher = dispatcher
        self._how = how

    async def dispatch(self, command: Command, meta: Meta) -> tuple[Recorded, ...]:
        ended = await self._dispatcher.dispatch(ENDS[self._how](command), command_line())
        assert ended
        return await self._dispatcher.dispatch(command, meta)


@pytest.mark.parametrize("how", ENDS)
def test_a_rotation_that_a_revocation_overtook_gives_nothing(start, stored, how) -> None:
    """Security rule 16."""
    api = start()
    tokens = [authenticate(api, register(api))["refresh_token"]]
    for _ in range(2):
        tokens.append(rotated(api, tokens[-1])["refresh_token"])
    use_cases: Any = start.service.refresh_tokens
    use_cases._dispatcher = Overtaken(start.service.dispatcher, how)
    answer = rotate(api, tokens[-1])
    use_cases._dispatcher = start.service.dispatcher
    reason = REASONS.get(how, "revoked")
    expect_reason(answer, reason)
    log = stored()
    assert log[-1] == "refresh_token.revoked"
    assert log.count("refresh_token.rotated") == 2
    for token in tokens:
        expect_dead(api, token, reason)


def test_a_use_that_a_revocation_overtook_gives_nothing(start, stored) -> None:
    """The first use of a token is recorded, and so decided, too."""
    api = start()
    token = authenticate(api, register(api))["refresh_token"]
    use_cases: Any = start.service.refresh_tokens
    use_cases._dispatcher = Overtaken(start.service.dispatcher, "owner")
    answer = refresh(api, token)
    expect_reason(answer, "revoked")
    assert "refresh_token.used" not in stored()


def test_what_a_crowd_was_given_while_it_was_logged_out_is_dead(start, stored) -> None:
    """Rotations and a revocation, all of which found a live session: nobody gets on with any."""
    api = start()
    token = authenticate(api, register(api))["refresh_token"]
    rotation = ("/refresh", {"refresh_token": token, "rotate": True})
    revocation = ("/revoke", {"refresh_token": token})
    use_cases: Any = start.service.refresh_tokens
    use_cases._dispatcher = Assembled(start.service.dispatcher, 33)
    answers = at_once(api, [*[rotation] * 16, revocation, *[rotation] * 16])
    assert answers.pop(16).status_code == 200
    log = stored()
    assert log[-1] == "refresh_token.revoked"
    assert log.count("refresh_token.revoked") == 1
    for answer in answers:
        if answer.status_code == 200:
            expect_dead(api, answer.json()["refresh_token"], "revoked")
        else:
            expect_reason(answer, "revoked")
    expect_dead(api, token, "revoked")
    assert stored() == log
