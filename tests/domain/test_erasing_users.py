"""A user is erased: by itself, by an administrator, by an operator; and nothing comes after."""

from __future__ import annotations

import pytest

from domain import commands, events
from domain.aggregate import USER
from domain.authority import Others
from domain.commands import Authority
from domain.errors import (
    InsufficientPermission,
    InvalidCredentials,
    InvalidToken,
    LastAdministrator,
    NotFound,
)
from domain.events import Event
from domain.sealed import Clear
from tests.domain.specification import (
    ADA,
    BOB,
    DISABLED,
    ERASED,
    REGISTERED,
    T0,
    blob,
    given,
    login,
    number,
    session_id,
)

ERASE, ONESELF = commands.EraseUser(ADA), commands.EraseOneself(ADA, 1)
ADMIN = events.UserPermissionsSet(("admin",))
ALONE = Others(USER.fold(number(ADA, (REGISTERED, ADMIN))), another_administrator=False)
SECRET = Clear("$argon2id$of-ada")
BOTH = pytest.mark.parametrize("command", [ERASE, ONESELF])


def ended(*numbers: int) -> tuple[Event, ...]:
    return tuple(events.RefreshTokenRevoked(session_id(each), "erased") for each in numbers)


@BOTH
def test_erasing_ends_all_sessions_and_then_the_user(command: commands.UserCommand) -> None:
    told = (REGISTERED, *login(2), *login(1, T0 + 1), *login(3, by="client_credentials"))
    given(*told).when(command).then(*ended(2, 1, 3), ERASED)


@BOTH
def test_erasing_who_is_logged_in_nowhere_is_one_fact(command: commands.UserCommand) -> None:
    given(REGISTERED).when(command).then(ERASED)


def test_who_is_erased_already_isnt_erased_again() -> None:
    erased = given(REGISTERED, *login(1)).when(ERASE).then(*ended(1), ERASED)
    erased.when(ERASE).nothing()
    bob = Others(USER.fold(number(BOB, (REGISTERED, events.UserPermissionsSet(("users:write",))))))
    erased.when(commands.EraseUser(ADA, by=Authority(BOB, ("users:write",))), others=bob).nothing()


def test_who_never_was_isnt_erased() -> None:
    given().when(ERASE).refused(NotFound)
    given().when(ONESELF).refused(InvalidCredentials)


def test_who_may_not_isnt_told_who_is_erased() -> None:
    asked = commands.EraseUser(ADA, by=Authority(BOB, ("users:read",)))
    bob = Others(USER.fold(number(BOB, (REGISTERED, events.UserPermissionsSet(("users:read",))))))
    for told in ((), (REGISTERED,), (REGISTERED, ERASED)):
        given(*told).when(asked, others=bob).refused(
            InsufficientPermission, permission="users:write"
        )


def test_a_disabled_user_is_erased_by_others_alone() -> None:
    given(REGISTERED, DISABLED).when(ERASE).then(ERASED)
    given(REGISTERED, DISABLED).when(ONESELF).refused(InvalidCredentials)


def test_a_secret_that_was_replaced_meanwhile_erases_nobody() -> None:
    changed = events.UserSecretChanged(Clear("$argon2id$new"))
    told = given(REGISTERED, *login(1), changed)
    told.when(ONESELF).refused(InvalidCredentials)
    told.when(commands.EraseOneself(ADA, 2)).then(*ended(1), ERASED)


def test_a_secret_that_was_hashed_again_meanwhile_does() -> None:
    rehashed = events.UserSecretRehashed(Clear("$argon2id$again"))
    given(REGISTERED, rehashed).when(ONESELF).then(ERASED)


def test_the_last_administrator_doesnt_erase_itself() -> None:
    given(REGISTERED, ADMIN).when(ONESELF, others=ALONE).refused(LastAdministrator)
    given(REGISTERED, ADMIN).when(
        ONESELF, others=Others(ALONE.asking, another_administrator=True)
    ).then(ERASED)


def test_a_wrong_moment_isnt_told_from_the_last_administrators_secret() -> None:
    stale = commands.EraseOneself(ADA, 0)
    given(REGISTERED, ADMIN).when(stale, others=ALONE).refused(InvalidCredentials)


def test_an_operator_erases_the_last_administrator() -> None:
    given(REGISTERED, ADMIN).when(ERASE, others=ALONE).then(ERASED)


AFTERWARDS = given(REGISTERED, *login(1)).when(ERASE).then(*ended(1), ERASED)


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (commands.StartSession(ADA, session_id(9), "secret", 1), InvalidCredentials),
        (commands.StartSession(ADA, session_id(9), "client_credentials", 1), InvalidCredentials),
        (commands.ChangeSecret(ADA, Clear("$argon2id$new"), 1), InvalidCredentials),
        (ONESELF, InvalidCredentials),
        (commands.RecordUse(ADA, session_id(1), 1, "every"), InvalidToken),
        (commands.RotateToken(ADA, session_id(1), 1), InvalidToken),
        (
            commands.PresentRetired(ADA, session_id(1), 1, elsewhere=True, seen_at=None),
            InvalidToken,
        ),
        (commands.GrantPermissions(ADA, ("a",)), NotFound),
    ],
)
def test_what_raced_with_erasing_is_refused_as_for_an_unknown_user(
    command: commands.UserCommand, refusal: type[Exception]
) -> None:
    """Security rules 16 and 17."""
    AFTERWARDS.when(command).refused(refusal)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "command",
    [
        commands.RecordFailedLogins(ADA, 3, T0, T0),
        commands.RehashSecret(ADA, Clear("$argon2id$again"), blob(SECRET)),
        commands.RehashSecret(ADA, Clear("$argon2id$again"), b""),
        commands.EndSession(ADA, session_id(1), "owner"),
    ],
)
def test_what_comes_late_in_the_background_writes_nothing(command: commands.UserCommand) -> None:
    AFTERWARDS.when(command).nothing()
