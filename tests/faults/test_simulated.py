"""The simulation: nothing wrong in its short form, and what it needs to be believed.

Security rules 16, 25, 26 and 30.
"""

from __future__ import annotations

import msgspec
import pytest

from tests.faults.holding import holds
from tests.prove import simulated
from tests.simulation.breaches import BREACHES
from tests.simulation.kept import CONTROLS, KEPT
from tests.simulation.plan import Plan, plan_of
from tests.simulation.shrinking import shrink
from tests.simulation.world import play


def test_no_session_is_lost_or_revived_whatever_befalls_the_service(sqlite_url: str) -> None:
    """In its short form, with every breach."""
    holds(simulated, sqlite_url)


@pytest.mark.parametrize("plan", [*KEPT, *CONTROLS.values()], ids=lambda plan: f"{plan.seed}")
def test_a_run_that_was_kept_goes_well(plan: Plan, tmp_path) -> None:
    assert play(plan, tmp_path).violation == ""


def test_there_is_a_kept_run_for_each_breach() -> None:
    assert {*CONTROLS} == {breach.name for breach in BREACHES}


def test_a_run_can_be_had_again(tmp_path) -> None:
    plan = plan_of(3, 100)
    first, again = (play(plan, tmp_path) for _ in range(2))
    assert first == again
    assert first.trace != play(msgspec.structs.replace(plan, seed=4), tmp_path).trace


def test_a_run_that_goes_wrong_gets_smaller_and_goes_wrong_still(tmp_path) -> None:
    (breach,) = (each for each in BREACHES if each.name == "no grace for a lost answer")
    kept = CONTROLS[breach.name]
    whole = Plan(kept.seed, 60, people=(0, *kept.people), settings=kept.settings)
    with breach.made() as started:
        small = shrink(whole, lambda plan: play(plan, tmp_path, started=started))
        assert play(small, tmp_path, started=started).kind == "logged out"
    assert small.steps < whole.steps
    assert len(small.people) == small.processes == 1
    assert small.thieves == ()
    assert len(small.faults) < len(whole.faults)
