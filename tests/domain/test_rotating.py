"""Rotating a refresh token, and what a retired one brings about."""

from __future__ import annotations

import pytest

from domain import commands, events
from domain.commands import Command
from domain.errors import InvalidToken
from domain.events import Event
from domain.policy import DAY, SECOND, Policy
from tests.domain.specification import (
    ADA,
    DISABLED,
    ENABLED,
    ERASED,
    REGISTERED,
    T0,
    Given,
    given,
    login,
    session_id,
)

ONE, TWO = session_id(1), session_id(2)
AT = T0 + DAY
"""When the token was rotated."""


def rotated(generation: int) -> events.RefreshTokenRotated:
    return events.RefreshTokenRotated(ONE, generation)


def used(generation: int) -> events.RefreshTokenUsed:
    return events.RefreshTokenUsed(ONE, generation)


def repeated(generation: int = 1) -> events.RefreshTokenRepeated:
    return events.RefreshTokenRepeated(ONE, generation)


def reuse(generation: int = 1) -> tuple[Event, ...]:
    return (
        events.RefreshTokenReuseDetected(ONE, generation),
        events.RefreshTokenRevoked(ONE, "reuse"),
    )


def rotate(generation: int = 1) -> commands.RotateToken:
    return commands.RotateToken(ADA, ONE, generation)


def present(
    generation: int = 1, *, elsewhere: bool = False, seen_at: int = AT
) -> commands.PresentRetired:
    return commands.PresentRetired(ADA, ONE, generation, elsewhere, seen_at)


SESSION = (REGISTERED, *login(1))
ONCE = (*SESSION, AT, rotated(2))
TWICE = (*ONCE, AT + SECOND, rotated(3))
EITHER = pytest.mark.parametrize("command", [rotate(2), present()], ids=["rotate", "present"])


# --- rotating


def test_the_current_token_is_retired_for_its_successor() -> None:
    given(*SESSION).when(rotate()).then(rotated(2))
    given(*SESSION, used(1)).when(rotate()).then(rotated(2))


def test_each_rotation_makes_the_next_generation() -> None:
    given(*SESSION).when(rotate()).then(rotated(2)).when(rotate(2)).then(rotated(3)).when(
        rotate(3)
    ).then(rotated(4))


def test_parallel_rotations_of_one_token_are_one() -> None:
    told = given(*SESSION).when(rotate()).then(rotated(2))
    for _ in range(63):
        told = told.when(rotate()).nothing()
    told.when(rotate(2)).then(rotated(3))


def test_a_token_that_was_rotated_meanwhile_isnt_rotated_again() -> None:
    given(*TWICE).when(rotate(1)).nothing()
    given(*TWICE).when(rotate(2)).nothing()
    given(*ONCE, used(2)).when(rotate(1), AT + DAY).nothing()


def test_one_session_is_rotated_and_the_other_isnt() -> None:
    given(*SESSION, *login(2), rotated(2)).when(commands.RotateToken(ADA, TWO, 1)).then(
        events.RefreshTokenRotated(TWO, 2)
    )


@pytest.mark.parametrize(
    ("told", "command"),
    [
        (SESSION, rotate(2)),
        (SESSION, rotate(9)),
        (ONCE, rotate(3)),
        (SESSION, present(2)),
        (ONCE, present(3)),
        (ONCE, present(9, elsewhere=True)),
    ],
)
def test_a_generation_that_was_never_issued_is_plainly_invalid(
    told: tuple[int | Event, ...], command: Command
) -> None:
    given(*told).when(command, AT + DAY).refused(InvalidToken, reason=None)


def test_generation_0_was_never_issued() -> None:
    given(*SESSION).when(present(0)).refused(InvalidToken, reason=None)


def test_the_current_token_isnt_taken_for_a_retired_one() -> None:
    given(*SESSION).when(present(1)).refused(InvalidToken, reason=None)
    given(*ONCE).when(present(2)).refused(InvalidToken, reason=None)


def test_a_rotation_is_a_use_that_keeps_the_session_for_another_rotation() -> None:
    given(*ONCE).when(rotate(2), AT + 30 * DAY - 1).then(rotated(3))
    given(*ONCE).when(rotate(2), AT + 30 * DAY).refused(InvalidToken, reason="expired")


def test_a_token_is_rotated_until_its_sessions_absolute_limit() -> None:
    policy = Policy(session_idle=30 * DAY, session_max=7 * DAY)
    told = given(REGISTERED, *login(1, policy=policy), AT, rotated(2), policy=policy)
    told.when(rotate(2), T0 + 7 * DAY - 1).then(rotated(3))
    told.when(rotate(2), T0 + 7 * DAY).refused(InvalidToken, reason="expired")


# --- a retry, whose first answer was lost


@pytest.mark.parametrize("window", [60 * SECOND, 90 * SECOND, 11 * SECOND, 10 * SECOND])
def test_a_retired_token_is_good_for_the_retry_window_to_the_microsecond(window: int) -> None:
    told = given(*ONCE, policy=Policy(retry_window=window))
    told.when(present(), AT).nothing()
    told.when(present(), AT + window - 1).nothing().when(present(), AT + window - 1).nothing()
    told.when(present(), AT + window).then(*reuse())


def test_the_retry_window_is_a_minute() -> None:
    given(*ONCE).when(present(), AT + 60 * SECOND - 1).nothing()
    given(*ONCE).when(present(), AT + 60 * SECOND).then(*reuse())


def test_the_first_use_of_the_successor_ends_the_window() -> None:
    told = given(*ONCE, AT + 20 * SECOND, used(2))
    told.when(present()).then(*reuse())
    told.when(present(), AT + 59 * SECOND).then(*reuse())


def test_a_rotation_of_the_successor_ends_the_window_and_opens_its_own() -> None:
    told = given(*ONCE, AT + 20 * SECOND, rotated(3))
    told.when(present(1)).then(*reuse(1))
    told.when(present(2)).nothing()
    told.when(present(2), AT + 80 * SECOND - 1).nothing()
    told.when(present(2), AT + 80 * SECOND).then(*reuse(2))


def test_what_was_used_before_the_rotation_leaves_the_window_open() -> None:
    given(*SESSION, used(1), AT, rotated(2)).when(present(), AT + 59 * SECOND).nothing()


def test_a_repeat_from_the_same_place_isnt_recorded() -> None:
    given(*ONCE).when(present(), AT + SECOND).nothing().when(present(), AT + SECOND).nothing()


def test_a_repeat_from_elsewhere_is_recorded_once() -> None:
    elsewhere = present(elsewhere=True, seen_at=AT)
    told = given(*ONCE).when(elsewhere, AT + SECOND).then(repeated())
    for after in (1, 2, 58):
        told.when(elsewhere, AT + after * SECOND).nothing()


def test_a_repeat_for_which_a_use_is_due_is_recorded_and_holds_off_the_idle_limit() -> None:
    """A window may be longer than a tenth of that."""
    policy = Policy(retry_window=DAY, session_idle=5 * DAY)
    told = given(REGISTERED, *login(1, policy=policy), AT, rotated(2), policy=policy)
    due = AT + DAY // 2
    told = told.when(present(), due - 1).nothing().when(present(), due).then(repeated())
    told.when(present(seen_at=due), due + 1).nothing()
    told.when(rotate(2), due + policy.session_idle - 1).then(rotated(3))


def test_a_repeat_from_a_third_place_is_recorded_too() -> None:
    told = given(*ONCE, AT + 1, repeated())
    third = present(elsewhere=True, seen_at=AT + 1)
    told.when(third, AT + 2).then(repeated()).when(third, AT + 3).nothing()


def test_a_repeat_that_was_compared_with_an_older_use_isnt_recorded() -> None:
    given(*ONCE).when(present(elsewhere=True, seen_at=T0), AT + SECOND).nothing()


def test_a_repeat_makes_the_window_no_longer() -> None:
    told = given(*ONCE, AT + 59 * SECOND, repeated())
    told.when(present(), AT + 60 * SECOND - 1).nothing()
    told.when(present(), AT + 60 * SECOND).then(*reuse())


def test_a_repeat_from_elsewhere_after_the_window_is_reuse() -> None:
    given(*ONCE).when(present(elsewhere=True), AT + 60 * SECOND).then(*reuse())


def test_a_recorded_repeat_keeps_the_session_alive() -> None:
    told = given(*ONCE, AT + 59 * SECOND, repeated())
    told.when(rotate(2), AT + 59 * SECOND + 30 * DAY - 1).then(rotated(3))
    told.when(rotate(2), AT + 59 * SECOND + 30 * DAY).refused(InvalidToken, reason="expired")


# --- a duplicate, which came late


def lives(told: Given, generation: int, now: int) -> None:
    """Demand that the session's current token can still be rotated."""
    told.when(rotate(generation), now).then(rotated(generation + 1))


@pytest.mark.parametrize("after", [0, 1, 10 * SECOND - 1])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_duplicate_of_the_token_just_before_harms_nobody_for_ten_seconds(
    after: int, elsewhere: bool
) -> None:
    told = given(*ONCE, used(2))
    told.when(present(elsewhere=elsewhere), AT + after).refused(InvalidToken, reason="retired")
    lives(told, 2, AT + after)


def test_ten_seconds_after_its_rotation_a_duplicate_is_reuse() -> None:
    given(*ONCE, used(2)).when(present(), AT + 10 * SECOND).then(*reuse())
    given(*ONCE, AT + 5 * SECOND, used(2)).when(present(), AT + 10 * SECOND).then(*reuse())


@pytest.mark.parametrize("window", [0, 1, 5 * SECOND, 10 * SECOND - 1])
def test_between_a_short_window_and_ten_seconds_a_duplicate_harms_nobody(window: int) -> None:
    told = given(*ONCE, policy=Policy(retry_window=window))
    for now in (AT + window, AT + 10 * SECOND - 1):
        told.when(present(), now).refused(InvalidToken, reason="retired")
        lives(told, 2, now)
    told.when(present(), AT + 10 * SECOND).then(*reuse())


def test_without_a_window_no_retired_token_is_good() -> None:
    told = given(*ONCE, policy=Policy(retry_window=0))
    told.when(present(), AT).refused(InvalidToken, reason="retired")
    told.when(present(elsewhere=True), AT).refused(InvalidToken, reason="retired")


# --- reuse


@pytest.mark.parametrize("after", [0, 1, 10 * SECOND - 1, 60 * SECOND, DAY])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_older_generation_is_reuse_at_once(after: int, elsewhere: bool) -> None:
    given(*ONCE, rotated(3)).when(present(1, elsewhere=elsewhere), AT + after).then(*reuse(1))


def test_however_old_a_generation_is_it_is_reuse() -> None:
    told = given(*SESSION, AT, *(rotated(generation) for generation in range(2, 12)))
    for generation in range(1, 10):
        told.when(present(generation)).then(*reuse(generation))
    told.when(present(10)).nothing()


def test_a_reused_refresh_token_ends_the_session() -> None:
    ended = given(*TWICE).when(present(1), AT + DAY).then(*reuse(1))
    for command in (rotate(3), rotate(1), present(1), present(2)):
        ended.when(command).refused(InvalidToken, reason="revoked")
    ended.when(commands.RecordUse(ADA, ONE, 3, "every")).refused(InvalidToken, reason="revoked")


def test_reuse_ends_that_session_alone() -> None:
    told = given(*TWICE, *login(2, AT + DAY), *login(3, AT + DAY))
    ended = told.when(present(1)).then(*reuse(1))
    ended.when(commands.RotateToken(ADA, TWO, 1)).then(events.RefreshTokenRotated(TWO, 2))
    ended.when(commands.EndSessions(ADA, "end_all")).then(
        events.RefreshTokenRevoked(TWO, "end_all"),
        events.RefreshTokenRevoked(session_id(3), "end_all"),
    )


def test_a_window_that_just_opened_doesnt_save_an_older_generation() -> None:
    """Nor does the session live on with a successor that nobody has used yet."""
    ended = given(*ONCE, AT + DAY, rotated(3)).when(present(1)).then(*reuse(1))
    ended.when(present(2)).refused(InvalidToken, reason="revoked")
    ended.when(rotate(3)).refused(InvalidToken, reason="revoked")


# --- whose token isn't good any more


@EITHER
@pytest.mark.parametrize(
    "told",
    [
        (),
        (REGISTERED,),
        (REGISTERED, *login(2)),
        (*ONCE, events.RefreshTokenRevoked(ONE, "owner")),
        (*ONCE, ERASED),
        (*ONCE, DISABLED, events.RefreshTokenRevoked(ONE, "disabled"), ENABLED),
    ],
)
def test_a_session_that_isnt_there_rotates_nothing_and_detects_no_reuse(
    told: tuple[int | Event, ...], command: Command
) -> None:
    given(*told).when(command).refused(InvalidToken, reason="revoked")
    given(*told).when(command, AT + DAY).refused(InvalidToken, reason="revoked")


@EITHER
def test_a_disabled_user_rotates_nothing_and_detects_no_reuse(command: Command) -> None:
    told = given(*ONCE, DISABLED)
    told.when(command).refused(InvalidToken, reason="user_disabled")
    told.when(command, AT + DAY).refused(InvalidToken, reason="user_disabled")


@EITHER
def test_a_session_past_its_idle_limit_rotates_nothing_and_detects_no_reuse(
    command: Command,
) -> None:
    given(*ONCE).when(command, AT + 30 * DAY).refused(InvalidToken, reason="expired")


@EITHER
def test_a_session_past_its_absolute_limit_rotates_nothing_and_detects_no_reuse(
    command: Command,
) -> None:
    policy = Policy(session_max=DAY + SECOND)
    told = given(REGISTERED, *login(1, policy=policy), AT, rotated(2), policy=policy)
    told.when(command, AT + SECOND).refused(InvalidToken, reason="expired")
