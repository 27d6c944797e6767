"""The rules of a user: `decide(user, command, policy, now) -> events`.

Pure: the newest state, the wish, the policy and the time (µs) come in; facts or a refusal come
out. No events mean that it is so already.
"""

from __future__ import annotations

from domain import commands, events
from domain.errors import Conflict, InvalidCredentials, InvalidToken, NotFound
from domain.permission import prepare
from domain.policy import Policy
from domain.user import Session, User

Events = tuple[events.Event, ...]


def decide(user: User, command: commands.Command, policy: Policy, now: int) -> Events:
    """What follows from a wish.

    Raises `InvalidCredentials` for a login that may not be, `InvalidToken` for a session that is
    over, `NotFound` for a user that isn't there.
    """
    match command:
        case commands.RegisterUser():
            return _register(user, command)
        case commands.StartSession():
            return _start_session(user, command, policy, now)
        case commands.RecordUse():
            return _record_use(user, command, policy, now)
        case commands.EndSession():
            return _end_session(user, command)
        case commands.SetPermissions(_, permissions):
            return _set_permissions(user, permissions)
        case commands.GrantPermissions(_, permissions):
            return _set_permissions(user, (*permissions, *user.permissions))
        case commands.WithdrawPermissions(_, permissions):
            return _set_permissions(user, set(user.permissions) - set(permissions))
        case commands.RecordFailedLogins(_, count, first_at, last_at):
            if user.status not in {"active", "disabled"}:
                return ()
            return (events.UserLoginFailed(count, first_at, last_at),)
        case _:
            msg = f"a user doesn't decide {type(command).__name__}"
            raise TypeError(msg)


def is_live(session: Session, policy: Policy, now: int) -> bool:
    """Whether a session that hasn't been ended is within its idle and its absolute limit."""
    return now < min(session.expires_at, session.last_used_at + policy.session_idle)


def _register(user: User, command: commands.RegisterUser) -> Events:
    if user.status != "unknown":
        msg = "This user_key was used before."
        raise Conflict(msg)
    return (events.UserRegistered(command.user_id, command.secret_hash),)


def _start_session(user: User, command: commands.StartSession, policy: Policy, now: int) -> Events:
    if user.status != "active" or command.secret_version != user.secret_version:
        raise InvalidCredentials
    service = command.by == "client_credentials"
    if service and any(
        session.service and is_live(session, policy, now) for session in user.sessions.values()
    ):
        return ()
    started: Events = (
        events.UserLoggedIn(command.session_id, command.by),
        events.RefreshTokenIssued(command.session_id, now + policy.session_max),
    )
    return (*_make_room(user, policy, now, service=service), *started)


def _make_room(user: User, policy: Policy, now: int, *, service: bool) -> Events:
    """End sessions, those past their idle limit first and then the oldest, until one fits.

    A user has one service session; it takes no other session's place.
    """
    held = [
        (is_live(session, policy, now), session.started_at, session_id)
        for session_id, session in user.sessions.items()
        if session.service == service and session.expires_at > now
    ]
    surplus = max(0, len(held) + 1 - (1 if service else policy.session_cap))
    return tuple(
        events.RefreshTokenRevoked(session_id, "limit")
        for _, _, session_id in sorted(held)[:surplus]
    )


def _record_use(user: User, command: commands.RecordUse, policy: Policy, now: int) -> Events:
    session = user.sessions.get(command.session_id)
    if user.status == "disabled":
        raise InvalidToken(reason="user_disabled")
    if session is None or user.status != "active":
        raise InvalidToken(reason="revoked")
    if not is_live(session, policy, now):
        raise InvalidToken(reason="expired")
    if command.generation > session.generation:
        raise InvalidToken
    if command.generation < session.generation:
        raise InvalidToken(reason="retired")
    match command.reason:
        case "first":
            wanted = session.used_generation < command.generation
        case "due":
            wanted = now - session.last_used_at >= policy.use_interval
        case "elsewhere":
            wanted = command.seen_at in {None, session.last_used_at}
        case "every":
            wanted = True
    return (events.RefreshTokenUsed(command.session_id, command.generation),) if wanted else ()


def _end_session(user: User, command: commands.EndSession) -> Events:
    if command.session_id not in user.sessions:
        return ()
    return (events.RefreshTokenRevoked(command.session_id, command.why),)


def _set_permissions(user: User, permissions: set[str] | tuple[str, ...]) -> Events:
    if user.status not in {"active", "disabled"}:
        msg = "There is no such user."
        raise NotFound(msg)
    wanted = prepare(permissions)
    return () if wanted == user.permissions else (events.UserPermissionsSet(wanted),)
