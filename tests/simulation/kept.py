"""Runs to be had again with every test run: those that went wrong once, and one a breach.

`./run prove simulated` prints a run that goes wrong, made as small as it gets; it is kept here once
what it found is mended.
"""

from __future__ import annotations

from typing import Final

from tests.simulation.plan import Plan

KEPT: Final[tuple[Plan, ...]] = ()
"""What went wrong once."""

CONTROLS: Final[dict[str, Plan]] = {
    "a grace that use doesn't end": Plan(
        seed=125,
        steps=14,
        people=(1,),
        thieves=(),
        processes=1,
        faults=(
            "lost request",
            "duplicate",
            "crash after commit",
            "crash",
            "slow commit",
            "clock jump",
            "skewed clock",
        ),
        settings=(
            ("REFRESH_RETRY_WINDOW", "60"),
            ("REFRESH_ROTATION", "on-request"),
            ("REFRESH_AUDIT", "sparse"),
            ("SESSION_IDLE", "30d"),
        ),
    ),
    "no grace for a lost answer": Plan(
        seed=101,
        steps=9,
        people=(4,),
        thieves=(),
        processes=1,
        faults=(
            "lost answer",
            "crash before commit",
            "crash after commit",
            "crash",
            "slow commit",
            "clock jump",
            "skewed clock",
        ),
        settings=(
            ("REFRESH_RETRY_WINDOW", "60"),
            ("REFRESH_ROTATION", "always"),
            ("REFRESH_AUDIT", "sparse"),
            ("SESSION_IDLE", "3h"),
        ),
    ),
    "reuse that ends nothing": Plan(
        seed=105,
        steps=9,
        people=(0,),
        thieves=(0,),
        processes=1,
        faults=(),
        settings=(("REFRESH_ROTATION", "always"),),
    ),
    "a refusal before its record": Plan(
        seed=100,
        steps=5,
        people=(3,),
        thieves=(),
        processes=1,
        faults=(
            "lost request",
            "crash after commit",
            "crash",
            "slow commit",
            "clock jump",
            "skewed clock",
        ),
        settings=(
            ("REFRESH_RETRY_WINDOW", "10"),
            ("REFRESH_ROTATION", "on-request"),
            ("REFRESH_AUDIT", "sparse"),
            ("SESSION_IDLE", "30d"),
        ),
    ),
    "an acknowledgement of what isn't stored": Plan(
        seed=100,
        steps=11,
        people=(3, 5),
        thieves=(),
        processes=1,
        faults=(
            "lost request",
            "duplicate",
            "lost commit",
            "store away",
            "crash before commit",
            "crash after commit",
            "crash",
            "slow commit",
            "clock jump",
            "skewed clock",
        ),
        settings=(
            ("REFRESH_RETRY_WINDOW", "10"),
            ("REFRESH_ROTATION", "on-request"),
            ("REFRESH_AUDIT", "sparse"),
            ("SESSION_IDLE", "30d"),
        ),
    ),
    "a commit without an answer taken for none": Plan(
        seed=108,
        steps=1,
        people=(5,),
        thieves=(),
        processes=2,
        faults=(
            "lost acknowledgement",
            "store away",
            "crash before commit",
            "crash after commit",
            "crash",
            "slow commit",
            "clock jump",
            "skewed clock",
        ),
        settings=(
            ("REFRESH_RETRY_WINDOW", "60"),
            ("REFRESH_ROTATION", "on-request"),
            ("REFRESH_AUDIT", "every"),
            ("SESSION_IDLE", "3h"),
        ),
    ),
    "a row that is remembered": Plan(
        seed=103,
        steps=48,
        people=(0, 1),
        thieves=(),
        processes=1,
        faults=(
            "duplicate",
            "lost commit",
            "crash before commit",
            "crash after commit",
            "crash",
            "slow commit",
            "clock jump",
            "skewed clock",
        ),
        settings=(
            ("REFRESH_RETRY_WINDOW", "10"),
            ("REFRESH_ROTATION", "always"),
            ("REFRESH_AUDIT", "sparse"),
            ("SESSION_IDLE", "30d"),
        ),
    ),
    "a rotation that isn't checked again": Plan(
        seed=101,
        steps=4,
        people=(5,),
        thieves=(),
        processes=1,
        faults=(
            "lost acknowledgement",
            "store away",
            "crash before commit",
            "crash after commit",
            "crash",
            "slow commit",
            "clock jump",
            "skewed clock",
        ),
        settings=(
            ("REFRESH_RETRY_WINDOW", "60"),
            ("REFRESH_ROTATION", "always"),
            ("REFRESH_AUDIT", "sparse"),
            ("SESSION_IDLE", "3h"),
        ),
    ),
    "times as the clock has them": Plan(
        seed=106,
        steps=77,
        people=(0, 1, 2, 3),
        thieves=(0,),
        processes=1,
        faults=(
            "lost request",
            "lost answer",
            "lost commit",
            "lost acknowledgement",
            "store away",
            "crash before commit",
            "crash after commit",
            "crash",
            "slow commit",
            "clock jump",
            "skewed clock",
        ),
        settings=(
            ("REFRESH_RETRY_WINDOW", "10"),
            ("REFRESH_ROTATION", "on-request"),
            ("REFRESH_AUDIT", "every"),
            ("SESSION_IDLE", "30d"),
        ),
    ),
    "a view without repeats": Plan(
        seed=102,
        steps=7,
        people=(4,),
        thieves=(),
        processes=1,
        faults=(),
        settings=(("REFRESH_ROTATION", "always"), ("REFRESH_AUDIT", "every")),
    ),
}
"""A short run that shows each of `tests.simulation.breaches`, and goes well without it."""
