"""What a run of the simulation is made of: a seed, who takes part, what may go wrong.

The same plan gives the same run. Whoever takes part has a number and draws from a stream of chance
of his own, so that a plan with fewer of them is a similar run. Knows no service.
"""

from __future__ import annotations

import random
from typing import Final, Literal, get_args

import msgspec

Fault = Literal[
    "lost request",
    "lost answer",
    "duplicate",
    "lost commit",
    "lost acknowledgement",
    "store away",
    "crash before commit",
    "crash after commit",
    "crash",
    "slow commit",
    "clock jump",
    "skewed clock",
    "key rotation",
]
FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)
Change = Literal["secrets", "disabling", "permissions", "erasing"]
"""What is done with users beside logging in."""
CHANGES: Final[tuple[Change, ...]] = get_args(Change)
Habit = Literal["asks late", "stays to the end", "logs in often"]
"""What brings people close to a limit, of time or of sessions."""
HABITS: Final[tuple[Habit, ...]] = "asks late", "stays to the end"
"""Of everybody."""
CROWDED: Final[tuple[Habit, ...]] = (*HABITS, "logs in often")
"""Of those whose cap is small: nobody gets near to a hundred sessions in so few steps."""

CAP: Final = 100
"""Live sessions of a user, of the product."""


class Plan(msgspec.Struct, frozen=True):
    """One run. `settings` are the service's that differ from the default, by their names.

    `cap` is how many live sessions a user may have, which is no setting.
    """

    seed: int
    steps: int
    people: tuple[int, ...] = (0, 1, 2, 3)
    thieves: tuple[int, ...] = (0,)
    processes: int = 2
    faults: tuple[Fault, ...] = FAULTS
    settings: tuple[tuple[str, str], ...] = ()
    administrators: tuple[int, ...] = ()
    changes: tuple[Change, ...] = ()
    habits: tuple[Habit, ...] = ()
    cap: int = CAP

    def chance(self, *of: object) -> random.Random:
        """A stream of chance of somebody's own."""
        return random.Random(f"{self.seed} {of}")


_WINDOWS: Final = ("60", "60", "10", "3600")
_ROTATION: Final = ("on-request", "on-request", "always")
_AUDIT: Final = ("sparse", "sparse", "every")
_LIMITS: Final = (("30d", "365d"), ("30d", "365d"), ("3h", "365d"), ("3h", "4h"), ("1h", "1h"))
"""Idle and absolute: the idle limit is never the longer one."""
_CAPS: Final = (2, 3, CAP, CAP, CAP)


def plan_of(seed: int, steps: int) -> Plan:
    """One of all that there are: who takes part and under which settings follows from the seed."""
    rng = random.Random(f"plan {seed}")
    people, thieves = rng.choice((2, 4, 6)), rng.choice((0, 1, 1, 2))
    processes = rng.choice((1, 2, 3))
    window, rotation, audit = rng.choice(_WINDOWS), rng.choice(_ROTATION), rng.choice(_AUDIT)
    idle, longest = rng.choice(_LIMITS)
    administrators, cap = rng.choice((1, 2, 2)), rng.choice(_CAPS)
    return Plan(
        seed,
        steps,
        people=tuple(range(people)),
        thieves=tuple(range(thieves)),
        processes=processes,
        settings=(
            ("REFRESH_RETRY_WINDOW", window),
            ("REFRESH_ROTATION", rotation),
            ("REFRESH_AUDIT", audit),
            ("SESSION_IDLE", idle),
            ("SESSION_MAX", longest),
        ),
        administrators=tuple(range(administrators)),
        changes=CHANGES,
        habits=HABITS if cap == CAP else CROWDED,
        cap=cap,
    )
