"""The rules of a user's sessions and their refresh tokens.

Pure, as `domain.decider`, which is the way in. Times are in µs. Knows no token's text: a token is
its session and its generation.
"""

from __future__ import annotations

from domain import commands, events
from domain.errors import InvalidCredentials, InvalidToken
from domain.policy import DELAYED_DUPLICATE, Policy
from domain.user import Session, User, may_be_live

Events = tuple[events.Event, ...]


def is_live(session: Session, policy: Policy, now: int) -> bool:
    """Whether a session that hasn't been ended is within its idle and its absolute limit."""
    return now < policy.ends_at(session.expires_at, session.last_used_at)


def start(user: User, command: commands.StartSession, policy: Policy, now: int) -> Events:
    """Begin a session; raises `InvalidCredentials` when the secret that was right isn't now."""
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


def record_use(user: User, command: commands.RecordUse, policy: Policy, now: int) -> Events:
    """Record a use of the current token that is worth it; raises `InvalidToken`.

    Nothing, too, when the token was retired meanwhile: it may be good still, so look again.
    """
    session = _session(user, command.session_id, policy, now)
    if command.generation > session.generation:
        raise InvalidToken
    if command.generation < session.generation:
        return ()
    match command.reason:
        case "first":
            wanted = session.used_generation < command.generation
        case "due":
            # By the clock of who asks, which may be ahead, as long as nothing newer is recorded.
            newest = command.seen_at == session.last_used_at
            wanted = newest or now - session.last_used_at >= policy.use_interval
        case "elsewhere":
            wanted = command.seen_at in {None, session.last_used_at}
        case "every":
            wanted = True
    return (events.RefreshTokenUsed(command.session_id, command.generation),) if wanted else ()


def rotate(user: User, command: commands.RotateToken, policy: Policy, now: int) -> Events:
    """Retire the current token for its successor; raises `InvalidToken`.

    Nothing when the token was retired meanwhile: look again, since it may be reuse.
    """
    session = _session(user, command.session_id, policy, now)
    if command.generation > session.generation:
        raise InvalidToken
    if command.generation < session.generation:
        return ()
    return (events.RefreshTokenRotated(command.session_id, command.generation + 1),)


def present_retired(
    user: User, command: commands.PresentRetired, policy: Policy, now: int
) -> Events:
    """What a retired token brings about: a repeat that may be, or the end of its session.

    The generation just before is good until its successor is used, within the retry window; a
    duplicate that comes late but soon raises `InvalidToken` and harms nobody. All else is reuse.
    """
    session = _session(user, command.session_id, policy, now)
    if not 0 < command.generation < session.generation:
        raise InvalidToken
    age = now - session.rotated_at
    if command.generation == session.generation - 1:
        if session.used_generation < session.generation and age < policy.retry_window:
            news = command.elsewhere and command.seen_at in {None, session.last_used_at}
            # The window may be longer than that, and what was good holds off the idle limit.
            news = news or now - session.last_used_at >= policy.use_interval
            repeated = events.RefreshTokenRepeated(command.session_id, command.generation)
            return (repeated,) if news else ()
        if age < DELAYED_DUPLICATE:
            raise InvalidToken(reason="retired")
    return (
        events.RefreshTokenReuseDetected(command.session_id, command.generation),
        events.RefreshTokenRevoked(command.session_id, "reuse"),
    )


def end_all(user: User, why: events.RevokedWhy, keep: str | None = None) -> Events:
    """End every session but one, in the order in which they began."""
    return tuple(
        events.RefreshTokenRevoked(session_id, why)
        for session_id in user.sessions
        if session_id != keep
    )


def _session(user: User, session_id: str, policy: Policy, now: int) -> Session:
    """The session, when it may be used now; raises `InvalidToken`."""
    session = user.sessions.get(session_id)
    if user.status == "disabled":
        raise InvalidToken(reason="user_disabled")
    if session is None or user.status != "active":
        raise InvalidToken(reason="revoked")
    if not is_live(session, policy, now):
        raise InvalidToken(reason="expired")
    return session


def _make_room(user: User, policy: Policy, now: int, *, service: bool) -> Events:
    """End sessions, those past a limit first and then the oldest, until one fits.

    A user has one service session; it takes no other session's place.
    """
    held = [
        (is_live(session, policy, now), session.started_at, session_id)
        for session_id, session in user.sessions.items()
        if session.service == service and may_be_live(session, now)
    ]
    surplus = max(0, len(held) + 1 - (1 if service else policy.session_cap))
    return tuple(
        events.RefreshTokenRevoked(session_id, "limit")
        for _, _, session_id in sorted(held)[:surplus]
    )
