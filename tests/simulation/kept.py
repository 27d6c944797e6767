"""Runs to be had again with every test run: those that went wrong once, and one a breach.

`./run prove simulated` prints a run that goes wrong, made as small as it gets; it is kept here once
what it found is mended.
"""

from __future__ import annotations

from typing import Final

from tests.simulation.plan import Plan

KEPT: Final[tuple[Plan, ...]] = (
    Plan(
        seed=5021,
        steps=218,
        people=(0, 1),
        thieves=(),
        processes=2,
        faults=(
            "lost request",
            "lost answer",
            "duplicate",
            "lost commit",
            "lost acknowledgement",
            "store away",
            "crash",
            "slow commit",
            "clock jump",
            "skewed clock",
            "key rotation",
        ),
        settings=(("REFRESH_AUDIT", "sparse"), ("SESSION_IDLE", "3h"), ("SESSION_MAX", "4h")),
    ),
)
"""What went wrong once."""

CONTROLS: Final[dict[str, Plan]] = {
    "a grace that use doesn't end": Plan(
        seed=106, steps=5, people=(0,), thieves=(0,), processes=1, faults=(), settings=()
    ),
    "no grace for a lost answer": Plan(
        seed=101,
        steps=14,
        people=(1,),
        thieves=(),
        processes=1,
        faults=("lost answer", "skewed clock"),
        settings=(),
    ),
    "reuse that ends nothing": Plan(
        seed=101,
        steps=54,
        people=(0,),
        thieves=(0,),
        processes=1,
        faults=(),
        settings=(("SESSION_IDLE", "3h"), ("SESSION_MAX", "9h")),
    ),
    "a refusal before its record": Plan(
        seed=100,
        steps=7,
        people=(1,),
        thieves=(),
        processes=1,
        faults=("lost answer",),
        settings=(),
    ),
    "an acknowledgement of what isn't stored": Plan(
        seed=100,
        steps=10,
        people=(4, 5),
        thieves=(),
        processes=1,
        faults=("duplicate", "lost commit", "crash"),
        settings=(),
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
        seed=102,
        steps=16,
        people=(3,),
        thieves=(),
        processes=1,
        faults=(),
        settings=(("REFRESH_ROTATION", "always"),),
    ),
    "keys that are kept": Plan(
        seed=100,
        steps=10,
        people=(0,),
        thieves=(),
        processes=1,
        faults=("key rotation",),
        settings=(),
    ),
    "a rotation that isn't checked again": Plan(
        seed=106,
        steps=180,
        people=(2,),
        thieves=(0,),
        processes=1,
        faults=(
            "lost request",
            "lost answer",
            "duplicate",
            "lost commit",
            "lost acknowledgement",
            "crash",
            "slow commit",
            "key rotation",
        ),
        settings=(
            ("REFRESH_RETRY_WINDOW", "10"),
            ("REFRESH_ROTATION", "on-request"),
            ("REFRESH_AUDIT", "every"),
            ("SESSION_IDLE", "30d"),
            ("SESSION_MAX", "365d"),
        ),
    ),
    "times as the clock has them": Plan(
        seed=103,
        steps=200,
        people=(1,),
        thieves=(0,),
        processes=1,
        faults=(
            "lost request",
            "lost answer",
            "duplicate",
            "lost commit",
            "lost acknowledgement",
            "store away",
            "crash",
            "clock jump",
            "skewed clock",
            "key rotation",
        ),
        settings=(("REFRESH_ROTATION", "always"), ("SESSION_IDLE", "30d"), ("SESSION_MAX", "365d")),
    ),
    "a look-up that knows no limit": Plan(
        seed=108,
        steps=56,
        people=(5,),
        thieves=(),
        processes=1,
        faults=("lost request", "slow commit", "skewed clock"),
        settings=(("REFRESH_AUDIT", "every"), ("SESSION_IDLE", "3h"), ("SESSION_MAX", "4h")),
    ),
    "access tokens that never expire": Plan(
        seed=107,
        steps=89,
        people=(0, 1),
        thieves=(),
        processes=1,
        faults=(
            "lost request",
            "duplicate",
            "lost acknowledgement",
            "crash",
            "slow commit",
            "key rotation",
        ),
        settings=(("REFRESH_AUDIT", "every"),),
    ),
    "rules that know no idle limit": Plan(
        seed=213,
        steps=156,
        people=(0, 1, 2),
        thieves=(),
        processes=3,
        faults=(
            "lost answer",
            "duplicate",
            "lost acknowledgement",
            "store away",
            "crash",
            "clock jump",
            "skewed clock",
            "key rotation",
        ),
        settings=(
            ("REFRESH_RETRY_WINDOW", "60"),
            ("REFRESH_ROTATION", "on-request"),
            ("REFRESH_AUDIT", "sparse"),
            ("SESSION_IDLE", "3h"),
            ("SESSION_MAX", "365d"),
        ),
    ),
    "a following view that counts its last batch alone": Plan(
        seed=100, steps=500, people=(0,), thieves=(), processes=1, faults=(), settings=()
    ),
    "a view without repeats": Plan(
        seed=102,
        steps=18,
        people=(0,),
        thieves=(),
        processes=1,
        faults=(),
        settings=(
            ("REFRESH_ROTATION", "always"),
            ("REFRESH_AUDIT", "every"),
            ("SESSION_IDLE", "3h"),
        ),
    ),
}
"""A short run that shows each of `tests.simulation.breaches`, and goes well without it."""
