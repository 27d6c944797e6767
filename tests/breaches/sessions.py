"""Rules of sessions that are left out, or recorded too late."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from domain import commands, events, session_rules
from domain.errors import InvalidToken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.bootstrap import Service
    from app.caller import Caller
    from domain.policy import Policy
    from domain.refresh_token import RefreshToken
    from domain.stream import Recorded
    from domain.user import User
    from tests.breaches import Breach


def _leave_rotations_unchecked(service: Service, value: str) -> None:
    """A token that another request has rotated meanwhile is rotated again."""
    del service, value
    session_rules.rotate = _rotate_again


def _leave_logins_unchecked(service: Service, value: str) -> None:
    """A login isn't looked at again when it is stored, whatever became of the user."""
    del service, value
    session_rules.start = _start_anyway


def _record_late(service: Service, seconds: str) -> None:
    """Seconds after which a reuse is recorded, with its refusal given at once."""
    tokens, later = service.refresh_tokens, set[asyncio.Task[object]]()
    record = tokens._recorded

    async def refuse(
        command: commands.UserCommand, token: RefreshToken, caller: Caller
    ) -> tuple[Recorded, ...]:
        async def wait() -> None:
            await asyncio.sleep(float(seconds))
            await record(command, token, caller)

        if not isinstance(command, commands.PresentRetired):
            return await record(command, token, caller)
        later.add(asyncio.create_task(wait()))
        raise InvalidToken(reason="reused")

    tokens._recorded = refuse  # type: ignore[method-assign]


def _rotate_again(
    user: User, command: commands.RotateToken, policy: Policy, now: int
) -> tuple[events.Event, ...]:
    return (events.RefreshTokenRotated(command.session_id, command.generation + 1),)


def _start_anyway(
    user: User,
    command: commands.StartSession,
    policy: Policy,
    now: int,
    rule: Callable[..., tuple[events.Event, ...]] = session_rules.start,
) -> tuple[events.Event, ...]:
    as_it_was = msgspec.structs.replace(
        user, status="active", secret_version=command.secret_version
    )
    return rule(as_it_was, command, policy, now)


BREACHES: Final[Mapping[str, Breach]] = {
    "UNCHECKED_ROTATION": _leave_rotations_unchecked,
    "UNCHECKED_LOGIN": _leave_logins_unchecked,
    "LATE_RECORD": _record_late,
}
