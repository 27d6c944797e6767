"""Logging in: who may, and whose session ends for it."""

from __future__ import annotations

import pytest

from domain import commands, events
from domain.errors import InvalidCredentials
from domain.policy import CLOCK_TOLERANCE, DAY, SECOND, Policy
from domain.sealed import Clear
from tests.domain.specification import (
    ADA,
    DISABLED,
    ENABLED,
    ERASED,
    REGISTERED,
    T0,
    given,
    login,
    session_id,
)

POLICY = Policy(session_cap=3)
NEW = session_id(9)
CHANGED = events.UserSecretChanged(Clear("$argon2id$new"))
REHASHED = events.UserSecretRehashed(Clear("$argon2id$stronger"))


def start(by: events.LoggedInBy = "secret", version: int = 1) -> commands.StartSession:
    return commands.StartSession(ADA, NEW, by, version)


def limit(number: int) -> events.RefreshTokenRevoked:
    return events.RefreshTokenRevoked(session_id(number), "limit")


def started(now: int, by: events.LoggedInBy = "secret") -> tuple[events.Event, ...]:
    return (
        events.UserLoggedIn(NEW, by),
        events.RefreshTokenIssued(NEW, now + POLICY.session_max),
    )


@pytest.mark.parametrize("by", ["secret", "page", "client_credentials"])
def test_a_login_begins_a_session_until_the_absolute_limit(by: events.LoggedInBy) -> None:
    given(REGISTERED).when(start(by), now=T0 + 5).then(
        events.UserLoggedIn(NEW, by), events.RefreshTokenIssued(NEW, T0 + 5 + 365 * DAY)
    )


def test_the_absolute_limit_is_the_operators() -> None:
    policy = Policy(session_max=7 * DAY)
    given(REGISTERED, policy=policy).when(start()).then(
        events.UserLoggedIn(NEW, "secret"), events.RefreshTokenIssued(NEW, T0 + 7 * DAY)
    )


def test_a_secret_is_good_for_as_long_as_nobody_changes_it() -> None:
    ten_years = T0 + 3_653 * DAY
    given(REGISTERED).when(start(), now=ten_years).then(
        events.UserLoggedIn(NEW, "secret"), events.RefreshTokenIssued(NEW, ten_years + 365 * DAY)
    )


def test_nobody_logs_in_who_isnt_there() -> None:
    given().when(start()).refused(InvalidCredentials)
    given().when(start(version=0)).refused(InvalidCredentials)


def test_a_disabled_user_doesnt_log_in() -> None:
    given(REGISTERED, DISABLED).when(start()).refused(InvalidCredentials)


def test_an_enabled_user_logs_in_again() -> None:
    given(REGISTERED, DISABLED, ENABLED).when(start()).then(*started(T0))


def test_an_erased_user_doesnt_log_in() -> None:
    given(REGISTERED, ERASED).when(start()).refused(InvalidCredentials)


def test_a_login_that_raced_with_a_change_of_secret_is_refused() -> None:
    """Security rule 17."""
    given(REGISTERED, CHANGED).when(start(version=1)).refused(InvalidCredentials)


def test_a_login_with_the_changed_secret_is_good() -> None:
    given(REGISTERED, CHANGED).when(start(version=2)).then(*started(T0))


def test_a_version_of_the_secret_that_never_was_is_refused() -> None:
    given(REGISTERED).when(start(version=2)).refused(InvalidCredentials)


def test_a_login_that_raced_with_a_rehash_is_good() -> None:
    """Security rule 12."""
    given(REGISTERED, REHASHED).when(start(version=1)).then(*started(T0))


def test_a_login_that_raced_with_the_end_of_all_sessions_starts_after_it() -> None:
    """Security rule 17."""
    ended = events.RefreshTokenRevoked(session_id(1), "end_all")
    given(REGISTERED, *login(1), ended).when(start()).then(*started(T0))


def test_every_refusal_of_a_login_is_the_same() -> None:
    """Security rule 9."""
    refusals = [
        given().when(start()).refused(InvalidCredentials),
        given(REGISTERED, DISABLED).when(start()).refused(InvalidCredentials),
        given(REGISTERED, ERASED).when(start()).refused(InvalidCredentials),
        given(REGISTERED, CHANGED).when(start()).refused(InvalidCredentials),
    ]
    assert len({(refusal.code, refusal.detail) for refusal in refusals}) == 1


def test_below_the_cap_nothing_ends() -> None:
    told = (REGISTERED, *login(1), *login(2))
    given(*told, policy=POLICY).when(start()).then(*started(T0))


def test_at_the_cap_the_oldest_session_ends() -> None:
    told = (REGISTERED, *login(2, T0), *login(1, T0 + 1), *login(3, T0 + 2))
    given(*told, policy=POLICY).when(start()).then(limit(2), *started(T0 + 2))


def test_the_cap_is_a_hundred_sessions() -> None:
    told = [step for place in range(100) for step in login(place + 100, T0 + place)]
    given(REGISTERED, *told[:-3]).when(start()).then(*started(T0 + 98))
    given(REGISTERED, *told).when(start()).then(limit(100), *started(T0 + 99))


def test_a_session_past_its_idle_limit_ends_before_an_older_one() -> None:
    used = events.RefreshTokenUsed(session_id(1), 1)
    now = T0 + 30 * DAY + 5
    told = (REGISTERED, *login(1, T0), *login(2, T0 + 5), T0 + DAY, used, *login(3, T0 + 2 * DAY))
    given(*told, policy=POLICY).when(start(), now).then(limit(2), *started(now))


def test_a_lowered_cap_ends_as_many_as_it_must() -> None:
    told = (REGISTERED, *(step for place in (1, 2, 3, 4, 5) for step in login(place, T0 + place)))
    given(*told, policy=POLICY).when(start()).then(limit(1), limit(2), limit(3), *started(T0 + 5))


def test_a_session_that_is_past_its_absolute_limit_by_any_clock_needs_no_end() -> None:
    told = (REGISTERED, *login(1, T0), *login(2, T0 + 1), *login(3, T0 + 2))
    now = T0 + 365 * DAY + CLOCK_TOLERANCE
    given(*told, policy=POLICY).when(start(), now).then(*started(now))


def test_a_session_past_its_absolute_limit_takes_a_place_while_a_clock_may_be_behind() -> None:
    used = (T0 + 364 * DAY, events.RefreshTokenUsed(session_id(2), 1))
    told = (REGISTERED, *login(1, T0), *login(2, T0 + 1), *login(3, T0 + 364 * DAY), *used)
    now = T0 + 365 * DAY + CLOCK_TOLERANCE - 1
    given(*told, policy=POLICY).when(start(), now).then(limit(1), *started(now))


def test_a_service_session_past_its_absolute_limit_ends_while_a_clock_may_be_behind() -> None:
    told = (REGISTERED, *login(1, by="client_credentials"))
    now = T0 + 365 * DAY
    given(*told).when(start("client_credentials"), now).then(
        limit(1), *started(now, "client_credentials")
    )


def test_an_ended_session_takes_no_place() -> None:
    ended = events.RefreshTokenRevoked(session_id(2), "owner")
    told = (REGISTERED, *login(1), *login(2), *login(3), ended)
    given(*told, policy=POLICY).when(start()).then(*started(T0))


def test_the_service_session_takes_no_place_among_the_others() -> None:
    told = (REGISTERED, *login(1, by="client_credentials"), *login(2), *login(3))
    given(*told, policy=POLICY).when(start()).then(*started(T0))


def test_starting_the_service_session_ends_no_other() -> None:
    told = (REGISTERED, *login(1), *login(2), *login(3))
    given(*told, policy=POLICY).when(start("client_credentials")).then(
        *started(T0, "client_credentials")
    )


def test_a_live_service_session_is_kept() -> None:
    told = (REGISTERED, *login(1, by="client_credentials"))
    given(*told).when(start("client_credentials"), T0 + 30 * DAY - 1).nothing()


def test_a_service_session_past_its_idle_limit_makes_room_for_the_next() -> None:
    now = T0 + 30 * DAY
    told = (REGISTERED, *login(1, by="client_credentials"), *login(2))
    given(*told).when(start("client_credentials"), now).then(
        limit(1), *started(now, "client_credentials")
    )


def test_a_wrong_secret_version_is_refused_even_where_a_service_session_lives() -> None:
    told = (REGISTERED, *login(1, by="client_credentials"))
    given(*told).when(start("client_credentials", 7), T0 + SECOND).refused(InvalidCredentials)
