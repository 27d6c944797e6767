"""The simulation: nothing wrong in its short form, and what it needs to be believed.

Security rules 16, 25, 26 and 30.
"""

from __future__ import annotations

from unittest.mock import patch

import msgspec
import pytest

from tests.faults.holding import holds
from tests.prove import simulated
from tests.prove.tally import Tally
from tests.simulation import people
from tests.simulation.breaches import BREACHES, Breach
from tests.simulation.clocks import OwnClock
from tests.simulation.controls import CONTROLS
from tests.simulation.kept import KEPT
from tests.simulation.outcome import Outcome
from tests.simulation.people import Person
from tests.simulation.plan import Plan, plan_of
from tests.simulation.play import play
from tests.simulation.process import Process
from tests.simulation.shrinking import shrink
from tests.simulation.world import World


def test_no_session_is_lost_or_revived_whatever_befalls_the_service(sqlite_url: str) -> None:
    """In its short form, with every breach."""
    holds(simulated, sqlite_url)


@pytest.mark.parametrize("plan", [*KEPT, *CONTROLS.values()], ids=lambda plan: f"{plan.seed}")
def test_a_run_that_was_kept_goes_well(plan: Plan, tmp_path) -> None:
    assert play(plan, tmp_path).violation == ""


def test_there_is_a_kept_run_for_each_breach() -> None:
    assert {*CONTROLS} == {breach.name for breach in BREACHES}


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: breach.name)
def test_a_breach_is_noticed_in_its_kept_run(breach: Breach, tmp_path) -> None:
    """Else other runs are searched for it, each time."""
    with breach.made() as started:
        assert play(CONTROLS[breach.name], tmp_path, started=started).kind in breach.kinds


def test_a_run_can_be_had_again(tmp_path) -> None:
    plan = plan_of(3, 100)
    first, again = (play(plan, tmp_path) for _ in range(2))
    assert first == again
    assert first.trace != play(msgspec.structs.replace(plan, seed=4), tmp_path).trace


def test_the_short_form_meets_a_thief_whose_reuse_must_end_something(tmp_path) -> None:
    (breach,) = (each for each in BREACHES if each.name == "reuse that ends nothing")
    with breach.made():
        tally = simulated._runs(tmp_path, simulated.SHORT_SEED, simulated.SHORT)
    assert tally.violations == 1
    assert tally.first[0].startswith("reuse goes on")


async def _break(*_: object, **__: object) -> None:
    raise ZeroDivisionError("broken")


def _break_at_once(*_: object, **__: object) -> None:
    raise ZeroDivisionError("broken")


@pytest.mark.parametrize(
    ("broken", "what", "by"),
    [
        (Process, "ask", _break),
        (Person, "_register", _break),
        (World, "_rotate_keys", _break),
        (Process, "start", _break_at_once),
        pytest.param(World, "_restart", _break_at_once, marks=pytest.mark.long),
        (World, "_follow", _break_at_once),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_whatever_is_raised_is_an_outcome_with_its_seed(
    broken: type, what: str, by: object, tmp_path
) -> None:
    with patch.object(broken, what, by):
        tally = simulated._runs(tmp_path, simulated.SHORT_SEED, simulated.SHORT)
    assert tally.violations == 1
    assert tally.first[0].startswith("ZeroDivisionError: broken (test_simulated.py, line ")
    assert f"keep Plan(seed={simulated.SHORT_SEED}, " in tally.first[0]


def test_a_simulation_that_excuses_too_many_sessions_shows_nothing(tmp_path) -> None:
    """As if every rotation that was asked for had been heard of too late."""
    plan = plan_of(simulated.SHORT_SEED, 300)
    with patch.object(people, "LATE_S", 1e9):
        counts = play(plan, tmp_path).counts
    tally = Tally(counts=counts)
    simulated.check_excused(tally)
    assert tally.violations == 1
    assert tally.first[0].startswith("excused: ")


@pytest.mark.parametrize("window", simulated.EXCUSED)
@pytest.mark.parametrize(("more", "wrong"), [(0, 0), (1, 1)])
def test_few_sessions_may_be_excused(window: str, more: int, wrong: int) -> None:
    beyond = round(100 * simulated.EXCUSED[window]) + more
    of = f"sessions of {window}"
    tally = Tally(counts={of: 100, f"{of}, beyond the rules": beyond})
    simulated.check_excused(tally)
    assert tally.violations == wrong


def test_making_a_run_smaller_takes_no_more_than_its_budget() -> None:
    steps = 0

    def failing(plan: Plan) -> Outcome:
        nonlocal steps
        steps += plan.steps
        return Outcome(plan.steps, "", {}, "always")

    shrink(plan_of(1, 100), failing, budget=450)
    assert steps <= 100 + 450 + 100


def test_people_have_clocks_of_their_own(tmp_path) -> None:
    shown = set()
    clock = OwnClock.__call__

    def watched(self: OwnClock) -> float:
        shown.add(round(self._off, 3))
        return clock(self)

    with patch.object(OwnClock, "__call__", watched):
        play(plan_of(simulated.SHORT_SEED, 200), tmp_path)
    assert len(shown) > 1


def test_a_run_that_goes_wrong_gets_smaller_and_goes_wrong_still(tmp_path) -> None:
    (breach,) = (each for each in BREACHES if each.name == "no grace for a lost answer")
    whole = Plan(100, 60, people=(0, 1, 2))
    with breach.made() as started:
        small = shrink(whole, lambda plan: play(plan, tmp_path, started=started))
        assert play(small, tmp_path, started=started).kind == "logged out"
    assert small.steps < whole.steps
    assert len(small.people) == small.processes == 1
    assert small.thieves == ()
    assert len(small.faults) < len(whole.faults)
