"""A plan that fails made smaller: fewer steps, fewer who take part, less that goes wrong.

It goes on for as long as that helps, or until so many steps were spent on it.

Knows plans and whether they fail, and no service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tests.simulation.plan import CAP, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.simulation.outcome import Outcome

BUDGET: Final = 60_000
"""Steps: some minutes at the most, and hours less than a run as it was found takes to read."""


def shrink(plan: Plan, play: Callable[[Plan], Outcome], budget: int = BUDGET) -> Plan:
    """The smallest plan found that fails in the same way; `plan` has to fail."""
    found = play(plan)
    kind, plan = found.kind, _as_long(plan, found)
    smaller = True
    while smaller and budget > 0:
        smaller = False
        for each in _less(plan):
            found = play(each)
            # A run that fails before its first step costs something too.
            budget -= max(1, found.steps)
            if found.kind == kind:
                plan, smaller = _as_long(each, found), True
                break
            if budget <= 0:
                break
    return plan


def _as_long(plan: Plan, outcome: Outcome) -> Plan:
    """As long as it takes, and the step in which it fails."""
    return msgspec.structs.replace(plan, steps=min(plan.steps, outcome.steps + 1))


def _less(plan: Plan) -> Iterator[Plan]:
    replace = msgspec.structs.replace
    if plan.processes > 1:
        yield replace(plan, processes=1)
    if plan.thieves:
        yield replace(plan, thieves=())
    if plan.faults:
        yield replace(plan, faults=())
    if plan.cap != CAP:
        yield replace(plan, cap=CAP)
    if len(plan.people) > 1:
        half = len(plan.people) // 2
        yield replace(plan, people=plan.people[:half])
        yield replace(plan, people=plan.people[half:])
    for each in plan.people if len(plan.people) > 2 else ():
        yield replace(plan, people=tuple(other for other in plan.people if other != each))
    for of in ("administrators", "changes", "habits", "faults", "settings"):
        every = getattr(plan, of)
        for each in every:
            yield replace(plan, **{of: tuple(other for other in every if other != each)})
