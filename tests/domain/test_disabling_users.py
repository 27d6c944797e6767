"""Keeping a user out, and letting it in again."""

from __future__ import annotations

from domain import commands, events
from domain.errors import InvalidCredentials, InvalidToken
from domain.events import Event
from domain.policy import DAY
from tests.domain.specification import (
    ADA,
    DISABLED,
    ENABLED,
    REGISTERED,
    T0,
    given,
    login,
    session_id,
)

DISABLE, ENABLE = commands.DisableUser(ADA), commands.EnableUser(ADA)
USE = commands.RecordUse(ADA, session_id(1), 1, "every")
START = commands.StartSession(ADA, session_id(9), "secret", 1)
STARTED = (
    events.UserLoggedIn(session_id(9), "secret"),
    events.RefreshTokenIssued(session_id(9), T0 + 365 * DAY),
)


def ended(*numbers: int) -> tuple[Event, ...]:
    return tuple(events.RefreshTokenRevoked(session_id(each), "disabled") for each in numbers)


def test_disabling_ends_all_sessions_in_the_order_in_which_they_began() -> None:
    told = (REGISTERED, *login(2), *login(1, T0 + 1), *login(3, by="client_credentials"))
    given(*told).when(DISABLE).then(DISABLED, *ended(2, 1, 3))


def test_disabling_a_user_without_sessions_is_one_fact() -> None:
    given(REGISTERED).when(DISABLE).then(DISABLED)


def test_a_disabled_user_isnt_disabled_again() -> None:
    given(REGISTERED, *login(1)).when(DISABLE).then(DISABLED, *ended(1)).when(DISABLE).nothing()


def test_a_disabled_user_neither_logs_in_nor_refreshes() -> None:
    """Security rule 16."""
    told = given(REGISTERED, *login(1)).when(DISABLE).then(DISABLED, *ended(1))
    told.when(START).refused(InvalidCredentials)
    told.when(USE).refused(InvalidToken, reason="user_disabled")


def test_a_login_that_raced_with_disabling_ends_with_it_or_is_refused() -> None:
    """Security rule 17."""
    given(REGISTERED).when(START).then(*STARTED).when(DISABLE).then(DISABLED, *ended(9))
    given(REGISTERED).when(DISABLE).then(DISABLED).when(START).refused(InvalidCredentials)


def test_an_enabled_user_logs_in_again_with_the_same_secret() -> None:
    given(REGISTERED).when(DISABLE).then(DISABLED).when(ENABLE).then(ENABLED).when(START).then(
        *STARTED
    )


def test_enabling_brings_no_session_back() -> None:
    told = given(REGISTERED, *login(1)).when(DISABLE).then(DISABLED, *ended(1))
    told.when(ENABLE).then(ENABLED).when(USE).refused(InvalidToken, reason="revoked")


def test_an_active_user_isnt_enabled() -> None:
    given(REGISTERED).when(ENABLE).nothing()
    given(REGISTERED, DISABLED).when(ENABLE).then(ENABLED).when(ENABLE).nothing()


def test_an_enabled_user_can_be_disabled_again() -> None:
    given(REGISTERED, DISABLED, ENABLED, *login(1)).when(DISABLE).then(DISABLED, *ended(1))


def test_permissions_outlast_disabling() -> None:
    held = events.UserPermissionsSet(("users:read",))
    told = given(REGISTERED, held).when(DISABLE).then(DISABLED).when(ENABLE).then(ENABLED)
    told.when(commands.SetPermissions(ADA, ("users:read",))).nothing()
