"""What the long proof of a soaked service takes for flat, and the proof in its short form."""

from __future__ import annotations

import pytest

from tests.faults.holding import holds
from tests.prove import soak
from tests.prove.soak import LIMITS, LOOKS, Look, judge
from tests.prove.tally import Tally

HELD = Look(memory=120 << 20, threads=11, files=51, wal=4 << 20, connections=6)


def judged(looks: list[Look]) -> list[str]:
    """What of it grew."""
    tally = Tally()
    judge(looks, tally, long=True)
    return [each.split()[0] for each in tally.first]


def test_what_comes_and_goes_is_flat() -> None:
    looks = [
        HELD._replace(threads=11 + number % 3, files=40 + number * 7 % 23, wal=number % 5 << 20)
        for number in range(LOOKS)
    ]
    assert judged(looks) == []


def test_what_fills_in_the_first_quarter_and_stays_is_flat() -> None:
    looks = [
        HELD._replace(memory=min(60 + number, 60 + LOOKS // 4) << 20) for number in range(LOOKS)
    ]
    assert judged(looks) == []


@pytest.mark.parametrize("what", Look._fields)
def test_what_grows_all_the_while_is_found(what: str) -> None:
    limit = getattr(LIMITS, what) or getattr(HELD, what) * soak.MEMORY
    step = 3 * limit / LOOKS
    looks = [
        HELD._replace(**{what: round(getattr(HELD, what) + number * step)})
        for number in range(LOOKS)
    ]
    assert judged(looks) == [what]


@pytest.mark.parametrize("long", [True, False])
def test_a_leak_is_near_to_what_is_seen_of_it(long: bool) -> None:
    """So that a control says something of a leak that is hardly seen."""
    seconds = soak.CONTROL_S if long else soak.SHORT
    every, memory = map(float, soak.leak(seconds, long=long).split())
    between = seconds * (1 - soak.FILLING if long else 1) / 2
    seen = 1 if long else soak.UNSTEADY
    assert 2 * seen < between / every < 5 * seen
    assert 2 < memory * between / every / (soak.HELD * soak.MEMORY) < 4


def test_where_nobody_looked_nothing_is_known() -> None:
    assert judged([]) == ["nobody"]


def test_a_service_under_every_load_keeps_nothing_and_comes_to_rest(database_url: str) -> None:
    holds(soak, database_url)
