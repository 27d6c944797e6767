"""Ending sessions: one, or all."""

from __future__ import annotations

from typing import get_args

import pytest

from domain import commands, events
from domain.errors import InvalidToken
from domain.events import Event, RevokedWhy
from domain.policy import CLOCK_TOLERANCE, DAY
from tests.domain.specification import (
    ADA,
    DISABLED,
    ERASED,
    REGISTERED,
    T0,
    given,
    login,
    session_id,
)

TWO_SESSIONS = (REGISTERED, *login(1), *login(2))


def end(number: int, why: RevokedWhy = "owner") -> commands.EndSession:
    return commands.EndSession(ADA, session_id(number), why)


def end_all(keep: int | None = None, why: RevokedWhy = "end_all") -> commands.EndSessions:
    return commands.EndSessions(ADA, why, None if keep is None else session_id(keep))


def ended(*numbers: int, why: RevokedWhy = "end_all") -> tuple[Event, ...]:
    return tuple(events.RefreshTokenRevoked(session_id(each), why) for each in numbers)


@pytest.mark.parametrize("why", get_args(RevokedWhy))
def test_ending_a_session_says_why(why: RevokedWhy) -> None:
    given(*TWO_SESSIONS).when(end(1, why)).then(events.RefreshTokenRevoked(session_id(1), why))


def test_an_ended_session_ends_once() -> None:
    ended = events.RefreshTokenRevoked(session_id(1), "owner")
    given(*TWO_SESSIONS).when(end(1)).then(ended).when(end(1, "admin")).nothing()


def test_the_other_session_goes_on() -> None:
    ended = (
        given(*TWO_SESSIONS).when(end(1)).then(events.RefreshTokenRevoked(session_id(1), "owner"))
    )
    ended.when(commands.RecordUse(ADA, session_id(2), 1, "first")).then(
        events.RefreshTokenUsed(session_id(2), 1)
    )


@pytest.mark.parametrize("told", [(), (REGISTERED,), (*TWO_SESSIONS, ERASED)])
def test_ending_a_session_that_isnt_there_changes_nothing(told: tuple[int | Event, ...]) -> None:
    given(*told).when(end(1)).nothing()


def test_a_disabled_users_session_can_be_ended() -> None:
    given(*TWO_SESSIONS, DISABLED).when(end(1, "disabled")).then(
        events.RefreshTokenRevoked(session_id(1), "disabled")
    )


def test_an_idle_session_can_still_be_ended() -> None:
    given(*TWO_SESSIONS).when(end(1), T0 + 31 * DAY).then(
        events.RefreshTokenRevoked(session_id(1), "owner")
    )


def test_a_session_past_its_absolute_limit_can_be_ended_while_a_clock_may_be_behind() -> None:
    """Security rule 16: whoever has such a clock would let it in."""
    over = T0 + 365 * DAY
    told = (REGISTERED, *login(1), *login(2, over + CLOCK_TOLERANCE - 1))
    given(*told).when(end(1)).then(events.RefreshTokenRevoked(session_id(1), "owner"))
    given(*told).when(end_all(keep=2)).then(*ended(1))


def test_the_service_session_can_be_ended() -> None:
    given(REGISTERED, *login(1, by="client_credentials")).when(end(1)).then(
        events.RefreshTokenRevoked(session_id(1), "owner")
    )


# --- all of them


@pytest.mark.parametrize("why", get_args(RevokedWhy))
def test_ending_all_sessions_says_why_of_each(why: RevokedWhy) -> None:
    given(*TWO_SESSIONS).when(end_all(why=why)).then(*ended(1, 2, why=why))


def test_sessions_end_in_the_order_in_which_they_began() -> None:
    used = events.RefreshTokenUsed(session_id(2), 1)
    told = (REGISTERED, *login(3), *login(2, T0 + 1), *login(1, T0 + 2), used)
    given(*told).when(end_all()).then(*ended(3, 2, 1))


def test_the_session_to_keep_goes_on() -> None:
    kept = given(*TWO_SESSIONS, *login(3)).when(end_all(keep=2)).then(*ended(1, 3))
    kept.when(commands.RotateToken(ADA, session_id(2), 1)).then(
        events.RefreshTokenRotated(session_id(2), 2)
    )
    kept.when(commands.RotateToken(ADA, session_id(1), 1)).refused(InvalidToken, reason="revoked")


def test_all_sessions_end_once() -> None:
    given(*TWO_SESSIONS).when(end_all()).then(*ended(1, 2)).when(end_all()).nothing()
    kept = given(*TWO_SESSIONS).when(end_all(keep=2)).then(*ended(1))
    kept.when(end_all(keep=2)).nothing()
    kept.when(end_all()).then(*ended(2))


def test_a_session_to_keep_that_isnt_there_keeps_no_other() -> None:
    given(*TWO_SESSIONS).when(end_all(keep=7)).then(*ended(1, 2))


def test_ending_all_sessions_ends_idle_and_service_sessions_too() -> None:
    told = (REGISTERED, *login(1), *login(2, by="client_credentials"), *login(3, T0 + 31 * DAY))
    given(*told).when(end_all(keep=3)).then(*ended(1, 2))


@pytest.mark.parametrize("since", [(), (DISABLED,)])
def test_who_has_no_session_has_none_ended(since: tuple[Event, ...]) -> None:
    given(REGISTERED, *since).when(end_all()).nothing()


def test_a_session_that_begins_after_the_end_of_all_lives() -> None:
    """Security rule 17: and one that began before ends with them."""
    start = commands.StartSession(ADA, session_id(9), "secret", 1)
    started = (
        events.UserLoggedIn(session_id(9), "secret"),
        events.RefreshTokenIssued(session_id(9), T0 + 365 * DAY),
    )
    given(*TWO_SESSIONS).when(end_all()).then(*ended(1, 2)).when(start).then(*started)
    given(*TWO_SESSIONS).when(start).then(*started).when(end_all()).then(*ended(1, 2, 9))
