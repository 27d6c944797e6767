"""Which uses of a refresh token are worth a record, and which are refused."""

from __future__ import annotations

import pytest

from domain import commands, events
from domain.commands import UseReason
from domain.errors import InvalidToken
from domain.events import Event
from domain.policy import DAY, Policy
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

ONE = session_id(1)
USED = events.RefreshTokenUsed(ONE, 1)
ROTATED = events.RefreshTokenRotated(ONE, 2)
REASONS: tuple[UseReason, ...] = ("first", "elsewhere", "due", "every")
SESSION = (REGISTERED, *login(1))


def use(reason: UseReason = "first", generation: int = 1) -> commands.RecordUse:
    return commands.RecordUse(ADA, ONE, generation, reason)


def test_the_first_use_is_recorded() -> None:
    given(*SESSION).when(use("first")).then(USED)


def test_a_first_use_that_came_second_is_not_recorded() -> None:
    given(*SESSION).when(use("first")).then(USED).when(use("first")).nothing()


def test_the_first_use_of_the_next_generation_is_recorded() -> None:
    given(*SESSION, USED, ROTATED).when(use("first", 2)).then(events.RefreshTokenUsed(ONE, 2))


@pytest.mark.parametrize("reason", ["elsewhere", "every"])
def test_a_use_from_elsewhere_and_in_a_full_audit_is_always_recorded(reason: UseReason) -> None:
    given(*SESSION, USED).when(use(reason)).then(USED).when(use(reason)).then(USED)


def test_parallel_uses_from_one_new_place_are_recorded_once() -> None:
    elsewhere = commands.RecordUse(ADA, ONE, 1, "elsewhere", seen_at=T0 + 7)
    told = given(*SESSION, T0 + 7, USED)
    told.when(elsewhere, T0 + 8).then(USED).when(elsewhere, T0 + 9).nothing()


@pytest.mark.parametrize(
    ("idle", "due"), [(30 * DAY, DAY), (10 * DAY, DAY), (5 * DAY, DAY // 2), (DAY, DAY // 10)]
)
def test_a_use_is_due_a_day_or_a_tenth_of_the_idle_limit_after_the_last(
    idle: int, due: int
) -> None:
    told = given(*SESSION, T0 + 7, USED, policy=Policy(session_idle=idle))
    told.when(use("due"), T0 + 7 + due - 1).nothing()
    told.when(use("due"), T0 + 7 + due).then(USED).when(use("due")).nothing()


@pytest.mark.parametrize("reason", REASONS)
def test_an_ended_session_records_no_use(reason: UseReason) -> None:
    ended = events.RefreshTokenRevoked(ONE, "owner")
    given(*SESSION, ended).when(use(reason)).refused(InvalidToken, reason="revoked")


@pytest.mark.parametrize("reason", REASONS)
def test_a_disabled_user_records_no_use(reason: UseReason) -> None:
    given(*SESSION, DISABLED).when(use(reason)).refused(InvalidToken, reason="user_disabled")


@pytest.mark.parametrize("told", [(), (REGISTERED,), (*SESSION, ERASED)])
def test_a_session_that_isnt_there_records_no_use(told: tuple[int | Event, ...]) -> None:
    given(*told).when(use()).refused(InvalidToken, reason="revoked")


@pytest.mark.parametrize("reason", REASONS)
def test_an_idle_session_is_expired_to_the_microsecond(reason: UseReason) -> None:
    told = given(*SESSION, T0 + 3, USED)
    told.when(use(reason), T0 + 3 + 30 * DAY).refused(InvalidToken, reason="expired")
    told.when(use("every"), T0 + 3 + 30 * DAY - 1).then(USED)


def test_use_keeps_a_session_alive_but_not_beyond_its_absolute_limit() -> None:
    last = T0 + 365 * DAY - 1
    uses = [step for day in range(20, 361, 20) for step in (T0 + day * DAY, USED)]
    told = given(*SESSION, *uses)
    told.when(use("every"), last).then(USED)
    told.when(use("every"), last + 1).refused(InvalidToken, reason="expired")


def test_a_rotation_is_a_use_that_keeps_a_session_alive() -> None:
    told = given(*SESSION, T0 + 29 * DAY, ROTATED)
    told.when(use("every", 2), T0 + 59 * DAY - 1).then(events.RefreshTokenUsed(ONE, 2))
    told.when(use("every", 2), T0 + 59 * DAY).refused(InvalidToken, reason="expired")


def test_no_rotation_keeps_a_session_alive_beyond_its_absolute_limit() -> None:
    last = T0 + 365 * DAY - 1
    rotations = [
        step
        for generation in range(2, 20)
        for step in (
            T0 + (generation - 1) * 20 * DAY,
            events.RefreshTokenRotated(ONE, generation),
        )
    ]
    told = given(*SESSION, *rotations)
    told.when(use("every", 19), last).then(events.RefreshTokenUsed(ONE, 19))
    told.when(use("every", 19), last + 1).refused(InvalidToken, reason="expired")


def test_a_use_is_due_a_day_after_a_rotation() -> None:
    two = events.RefreshTokenUsed(ONE, 2)
    told = given(*SESSION, T0 + 5, ROTATED)
    told.when(use("due", 2), T0 + 5 + DAY - 1).nothing()
    told.when(use("due", 2), T0 + 5 + DAY).then(two)


@pytest.mark.parametrize("reason", REASONS)
def test_a_token_that_was_retired_meanwhile_records_no_use_and_isnt_refused(
    reason: UseReason,
) -> None:
    """It may be good still, as a repeat: two tabs, of which one rotates."""
    given(*SESSION, ROTATED).when(use(reason, 1)).nothing()


def test_a_generation_that_was_never_issued_is_plainly_invalid() -> None:
    given(*SESSION).when(use("first", 2)).refused(InvalidToken, reason=None)


def test_a_use_that_is_due_by_a_clock_ahead_is_recorded_when_nothing_newer_is() -> None:
    due = commands.RecordUse(ADA, ONE, 1, "due", seen_at=T0 + 7)
    told = given(*SESSION, T0 + 7, USED)
    told.when(due, T0 + DAY - 30_000_000).then(USED).when(due, T0 + DAY).nothing()
