"""A user's secret: changed by its holder, reset by somebody else, hashed anew."""

from __future__ import annotations

import pytest

from domain import commands, events
from domain.errors import InvalidCredentials
from domain.events import Event
from domain.policy import DAY
from domain.sealed import Clear
from tests.domain.specification import (
    ADA,
    DISABLED,
    ENABLED,
    ERASED,
    REGISTERED,
    T0,
    blob,
    given,
    login,
    session_id,
)

OLD, NEW, NEWER = Clear("$argon2id$of-ada"), Clear("$argon2id$new"), Clear("$argon2id$newer")
CHANGED = events.UserSecretChanged(NEW)
REHASHED = events.UserSecretRehashed(NEW)
THREE_SESSIONS = (REGISTERED, *login(2), *login(1, T0 + 1), *login(3, T0 + 2))
RESET = commands.ResetSecret(ADA, NEW)


def change(version: int = 1, keep: int | None = None) -> commands.ChangeSecret:
    return commands.ChangeSecret(ADA, NEW, version, None if keep is None else session_id(keep))


def rehash(replaced: Clear = OLD, secret_hash: Clear = NEW) -> commands.RehashSecret:
    return commands.RehashSecret(ADA, secret_hash, blob(replaced))


def start(version: int) -> commands.StartSession:
    return commands.StartSession(ADA, session_id(9), "secret", version)


def ended(*numbers: int) -> tuple[Event, ...]:
    return tuple(events.RefreshTokenRevoked(session_id(each), "secret_changed") for each in numbers)


# --- changing it


def test_a_change_of_secret_ends_all_other_sessions() -> None:
    given(*THREE_SESSIONS).when(change(keep=1)).then(CHANGED, *ended(2, 3))


def test_without_a_session_to_keep_a_change_of_secret_ends_all() -> None:
    given(*THREE_SESSIONS).when(change()).then(CHANGED, *ended(2, 1, 3))


def test_a_session_to_keep_that_is_over_keeps_no_other() -> None:
    over = events.RefreshTokenRevoked(session_id(1), "owner")
    given(*THREE_SESSIONS, over).when(change(keep=1)).then(CHANGED, *ended(2, 3))


def test_the_kept_session_goes_on() -> None:
    told = given(*THREE_SESSIONS).when(change(keep=1)).then(CHANGED, *ended(2, 3))
    told.when(commands.RotateToken(ADA, session_id(1), 1)).then(
        events.RefreshTokenRotated(session_id(1), 2)
    )


def test_a_change_of_secret_ends_idle_and_service_sessions_too() -> None:
    told = (REGISTERED, *login(1), *login(2, by="client_credentials"), *login(3, T0 + 31 * DAY))
    given(*told).when(change(keep=3)).then(CHANGED, *ended(1, 2))


def test_who_has_no_session_changes_its_secret_all_the_same() -> None:
    given(REGISTERED).when(change()).then(CHANGED)


def test_of_two_changes_with_one_old_secret_the_first_holds() -> None:
    """Security rule 17: what was right when it was looked at is wrong when it is decided."""
    told = given(REGISTERED).when(change()).then(CHANGED)
    told.when(change()).refused(InvalidCredentials)
    told.when(change(2)).then(CHANGED)


@pytest.mark.parametrize("version", [0, 2])
def test_a_change_with_another_version_of_the_secret_is_refused(version: int) -> None:
    given(REGISTERED).when(change(version)).refused(InvalidCredentials)


def test_a_change_that_raced_with_a_reset_is_refused() -> None:
    told = given(*THREE_SESSIONS).when(RESET).then(CHANGED, *ended(2, 1, 3))
    told.when(change(keep=1)).refused(InvalidCredentials)


def test_a_change_that_raced_with_a_rehash_is_good() -> None:
    given(REGISTERED, REHASHED).when(change()).then(CHANGED)


def test_a_change_that_raced_with_the_end_of_all_sessions_is_good() -> None:
    over = events.RefreshTokenRevoked(session_id(1), "end_all")
    given(REGISTERED, *login(1), over).when(change(keep=1)).then(CHANGED)


@pytest.mark.parametrize("told", [(), (REGISTERED, DISABLED), (REGISTERED, ERASED)])
@pytest.mark.parametrize("version", [0, 1])
def test_nobody_who_isnt_active_changes_its_secret(told: tuple[Event, ...], version: int) -> None:
    """Security rule 9: with the same words for all."""
    refusal = given(*told).when(change(version)).refused(InvalidCredentials)
    wrong = given(REGISTERED).when(change(7)).refused(InvalidCredentials)
    assert refusal.detail == wrong.detail


def test_an_enabled_user_changes_its_secret_again() -> None:
    given(REGISTERED, DISABLED, ENABLED).when(change()).then(CHANGED)


def test_a_login_with_the_old_secret_ends_with_the_change_or_is_refused() -> None:
    """Security rule 17."""
    given(REGISTERED, *login(9)).when(change()).then(CHANGED, *ended(9))
    given(REGISTERED).when(change()).then(CHANGED).when(start(1)).refused(InvalidCredentials)


# --- resetting it


def test_a_reset_ends_all_sessions() -> None:
    given(*THREE_SESSIONS).when(RESET).then(CHANGED, *ended(2, 1, 3))


def test_a_reset_needs_no_old_secret_and_each_counts() -> None:
    told = given(REGISTERED).when(RESET).then(CHANGED).when(RESET).then(CHANGED)
    told.when(start(2)).refused(InvalidCredentials)
    told.when(start(3)).then(
        events.UserLoggedIn(session_id(9), "secret"),
        events.RefreshTokenIssued(session_id(9), T0 + 365 * DAY),
    )


def test_a_reset_lets_no_disabled_user_in() -> None:
    told = given(REGISTERED, DISABLED).when(RESET).then(CHANGED)
    told.when(start(2)).refused(InvalidCredentials)


# --- hashing it anew


def test_a_rehash_takes_the_place_of_the_hash_that_was_looked_at() -> None:
    """Security rule 12."""
    given(REGISTERED).when(rehash()).then(REHASHED)


def test_a_rehash_ends_no_session_and_leaves_the_version_of_the_secret() -> None:
    """Security rule 12: nobody notices."""
    told = given(*THREE_SESSIONS).when(rehash()).then(REHASHED)
    told.when(change(1, keep=1)).then(CHANGED, *ended(2, 3))


def test_a_rehash_that_raced_with_another_is_dropped() -> None:
    told = given(REGISTERED).when(rehash()).then(REHASHED)
    told.when(rehash()).nothing()
    told.when(rehash(secret_hash=NEWER)).nothing()
    told.when(rehash(NEW, NEWER)).then(events.UserSecretRehashed(NEWER))


@pytest.mark.parametrize("command", [change(), RESET])
def test_a_rehash_that_comes_after_a_change_doesnt_bring_the_old_secret_back(
    command: commands.Command,
) -> None:
    """Security rule 16."""
    told = given(REGISTERED).when(command).then(CHANGED)
    told.when(rehash(OLD, NEWER)).nothing()
    told.when(rehash(NEW, NEWER)).then(events.UserSecretRehashed(NEWER))


@pytest.mark.parametrize("told", [(), (REGISTERED, ERASED)])
def test_nothing_is_rehashed_of_who_isnt_there(told: tuple[Event, ...]) -> None:
    given(*told).when(rehash()).nothing()
    given(*told).when(commands.RehashSecret(ADA, NEW, b"")).nothing()


@pytest.mark.parametrize("command", [change(), RESET, rehash()])
def test_a_command_doesnt_show_the_hash(command: commands.Command) -> None:
    """Security rule 19."""
    assert "argon2" not in repr(command)
    assert "argon2" not in str(given(REGISTERED).when(command).decided())
