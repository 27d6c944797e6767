"""The rules of a user: `decide(user, command, policy, now) -> events`.

Pure: the newest state, the wish, the policy and the time (µs) come in; facts or a refusal come
out. No events mean that it is so already. Sessions have `domain.session_rules`, and who may
change whom is in `domain.authority`.
"""

from __future__ import annotations

from domain import authority, commands, events, session_rules
from domain.authority import NOBODY_ELSE, Others
from domain.errors import Conflict, InvalidCredentials, NotFound
from domain.permission import prepare
from domain.policy import Policy
from domain.user import User

Events = tuple[events.Event, ...]


def decide(  # noqa: C901, PLR0912 - one case a command
    user: User, command: commands.Command, policy: Policy, now: int, others: Others = NOBODY_ELSE
) -> Events:
    """What follows from a wish.

    Raises `InvalidCredentials` for a secret that isn't right now, `InvalidToken` for a session
    that is over, `NotFound` for a user that isn't there, and what `authority.check` raises.
    """
    match command:
        case commands.RegisterUser():
            return _register(user, command)
        case commands.StartSession():
            return session_rules.start(user, command, policy, now)
        case commands.RecordUse():
            return session_rules.record_use(user, command, policy, now)
        case commands.RotateToken():
            return session_rules.rotate(user, command, policy, now)
        case commands.PresentRetired():
            return session_rules.present_retired(user, command, policy, now)
        case commands.EndSession(_, session_id, why):
            ended = events.RefreshTokenRevoked(session_id, why)
            return (ended,) if session_id in user.sessions else ()
        case commands.AdministrativeCommand():
            return _administer(user, command, others)
        case commands.ChangeSecret():
            return _change_secret(user, command)
        case commands.EraseOneself():
            return _erase_oneself(user, command, others)
        case commands.RehashSecret(_, secret_hash, replaced):
            rehashed = events.UserSecretRehashed(secret_hash)
            return (rehashed,) if _is_there(user) and user.secret_hash == replaced else ()
        case commands.GrantPermissions(_, permissions):
            return _change_permissions(_found(user), given=permissions)
        case commands.WithdrawPermissions(_, permissions):
            return _change_permissions(_found(user), taken=permissions)
        case commands.RecordFailedLogins(_, count, first_at, last_at):
            return (events.UserLoginFailed(count, first_at, last_at),) if _is_there(user) else ()
        case _:
            msg = f"a user doesn't decide {type(command).__name__}"
            raise TypeError(msg)


def _register(user: User, command: commands.RegisterUser) -> Events:
    if user.status != "unknown":
        msg = "This user_key was used before."
        raise Conflict(msg)
    return (events.UserRegistered(command.user_id, command.secret_hash),)


def _change_secret(user: User, command: commands.ChangeSecret) -> Events:
    if user.status != "active" or command.secret_version != user.secret_version:
        raise InvalidCredentials
    changed = events.UserSecretChanged(command.secret_hash)
    return (changed, *session_rules.end_all(user, "secret_changed", command.keep))


def _erase_oneself(user: User, command: commands.EraseOneself, others: Others) -> Events:
    if user.status != "active" or command.secret_version != user.secret_version:
        raise InvalidCredentials
    authority.check_not_last(user, others)
    return _erase(user)


def _erase(user: User) -> Events:
    return (*session_rules.end_all(user, "erased"), events.UserErased())


def _administer(user: User, command: commands.AdministrativeCommand, others: Others) -> Events:
    authority.check(user, command, others)
    if isinstance(command, commands.EraseUser) and user.status == "erased":
        return ()
    _found(user)
    match command:
        case commands.SetPermissions(_, permissions):
            return _set_permissions(user, permissions)
        case commands.ChangePermissions(_, given, taken):
            return _change_permissions(user, given, taken)
        case commands.ResetSecret(_, secret_hash):
            changed = events.UserSecretChanged(secret_hash)
            return (changed, *session_rules.end_all(user, "secret_changed"))
        case commands.DisableUser():
            ended = session_rules.end_all(user, "disabled")
            return (events.UserDisabled(), *ended) if user.status == "active" else ()
        case commands.EnableUser():
            return (events.UserEnabled(),) if user.status == "disabled" else ()
        case commands.EraseUser():
            return _erase(user)
        case commands.EndSessions(_, why, keep):
            return session_rules.end_all(user, why, keep)
        case _:
            msg = f"a user doesn't decide {type(command).__name__}"
            raise TypeError(msg)


def _change_permissions(
    user: User, given: tuple[str, ...] = (), taken: tuple[str, ...] = ()
) -> Events:
    either = (*given, *user.permissions)
    return _set_permissions(user, tuple(each for each in either if each not in taken))


def _set_permissions(user: User, permissions: tuple[str, ...]) -> Events:
    wanted = prepare(permissions)
    return () if wanted == user.permissions else (events.UserPermissionsSet(wanted),)


def _is_there(user: User) -> bool:
    return user.status in {"active", "disabled"}


def _found(user: User) -> User:
    """The user, who was registered and not erased; raises `NotFound`."""
    if user.status == "erased":
        msg = "This user is erased: nothing can be changed any more."
        raise NotFound(msg)
    if not _is_there(user):
        msg = "There is no such user."
        raise NotFound(msg)
    return user
