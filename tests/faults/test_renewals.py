"""What the long proofs of the clients take for one renewal at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain import events
from domain.policy import SECOND
from domain.stream import Meta, Recorded
from tests.prove import renewals
from tests.prove.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

EVERY_S = 2.0
SESSION = "0" * 22
META = Meta("anonymous", "")


def judged(
    repeats: list[float], *, late: bool = False, times: int = 1, asked: Sequence[float] = ()
) -> list[str]:
    """What is wrong where, so many seconds after each of its first renewals, a token came again.

    Ten renewals, and so many times, the first of which were asked for at these moments.
    """
    log: list[tuple[float, events.Event]] = [
        (EVERY_S * number, events.RefreshTokenRotated(SESSION, number + 1)) for number in range(10)
    ]
    log += [
        (EVERY_S * number + after, events.RefreshTokenRepeated(SESSION, number))
        for number, after in enumerate(repeats)
        for _ in range(times)
    ]
    log.sort(key=lambda each: each[0])
    recorded = [
        Recorded("user", place, place, round(when * SECOND), META, event)
        for place, (when, event) in enumerate(log, 1)
    ]
    tally = Tally()
    shown = renewals.asked_by((f"gbr_{SESSION}{number:06}", at) for number, at in enumerate(asked))
    renewals.judge_renewals(
        recorded, tally, EVERY_S, 0, late=[SESSION] if late else [], asked=shown
    )
    return tally.first


def test_what_is_excused_is_seldom() -> None:
    tally = Tally()
    tally.count("calls", 100)
    tally.count("excused", 2)
    renewals.judge_excused(tally, "calls", "excused")
    assert tally.first == []
    tally.count("excused")
    renewals.judge_excused(tally, "calls", "excused")
    assert tally.first == ["3 excused, of 100 calls"]


@pytest.mark.parametrize("late", [False, True])
def test_who_shows_no_token_twice_keeps_to_the_rule(late: bool) -> None:
    assert judged([], late=late) == []


def test_who_hears_at_once_shows_no_token_twice() -> None:
    assert judged([0.1], late=False)[0].startswith("1 tokens were shown twice, 0 may be")


def test_who_hears_late_may_now_and_then() -> None:
    assert judged([0.1, 0.9], late=True) == []


def test_who_hears_late_may_not_more_often() -> None:
    assert judged([0.1, 0.9, 0.5], late=True)[0].startswith("3 tokens were shown twice, 2 may be")


def test_who_hears_late_has_heard_after_a_moment() -> None:
    assert judged([1.1], late=True)[0].startswith("1 tokens were shown twice, 0 may be")


def test_who_hears_late_shows_no_token_three_times() -> None:
    assert judged([0.1], late=True, times=2)[0].startswith("2 tokens were shown twice, 1 may be")


def test_who_renews_again_at_once_does_so_in_vain() -> None:
    assert judged([], asked=[-0.5, -0.1, 2.0])[0].startswith("1 were renewed at once, after [0.4")


def test_who_asks_again_when_a_token_is_getting_old_keeps_to_the_rule() -> None:
    assert judged([], asked=[0.0, 0.6, 1.2]) == []


def test_nothing_is_answered_before_it_was_asked_for() -> None:
    assert judged([], asked=[0.1])[0] == "a rotation came before it was asked for"


def test_of_who_shows_a_token_again_the_first_time_counts() -> None:
    again = [("gbr_" + SESSION + 6 * "0", at) for at in (3.0, 2.0, 2.5)]
    assert renewals.asked_by(again) == {SESSION: {6 * "0": 2.0}}
