"""Ending one session."""

from __future__ import annotations

from typing import get_args

import pytest

from domain import commands, events
from domain.events import Event, RevokedWhy
from domain.policy import DAY
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


def test_the_service_session_can_be_ended() -> None:
    given(REGISTERED, *login(1, by="client_credentials")).when(end(1)).then(
        events.RefreshTokenRevoked(session_id(1), "owner")
    )
