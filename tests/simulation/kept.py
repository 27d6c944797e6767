"""Runs to be had again with every test run: those that went wrong once.

`./run prove simulated` prints a run that goes wrong, made as small as it gets; it is kept here once
what it found is mended.
"""

from __future__ import annotations

from typing import Final

from tests.simulation.plan import CHANGES, Plan

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
    Plan(
        seed=314,
        steps=633,
        people=(0, 1, 2, 3, 4, 5),
        settings=(
            ("REFRESH_RETRY_WINDOW", "10"),
            ("REFRESH_ROTATION", "on-request"),
            ("REFRESH_AUDIT", "sparse"),
            ("SESSION_IDLE", "30d"),
            ("SESSION_MAX", "365d"),
        ),
        administrators=(0, 1),
        changes=CHANGES,
    ),
    Plan(
        seed=17927181995683,
        steps=31,
        people=(0,),
        thieves=(),
        processes=3,
        faults=("lost request", "crash", "slow commit", "clock jump", "skewed clock"),
        settings=(("SESSION_IDLE", "1h"), ("SESSION_MAX", "1h")),
        administrators=(1,),
        changes=("permissions",),
        habits=("stays to the end",),
    ),
    Plan(
        seed=275670223147287,
        steps=860,
        people=(0, 1),
        thieves=(),
        processes=1,
        faults=(
            "lost request",
            "lost answer",
            "duplicate",
            "lost commit",
            "lost acknowledgement",
            "store away",
            "crash after commit",
            "crash",
            "slow commit",
            "clock jump",
            "skewed clock",
            "key rotation",
        ),
        settings=(("REFRESH_ROTATION", "always"), ("SESSION_IDLE", "3h"), ("SESSION_MAX", "4h")),
        administrators=(0,),
        changes=CHANGES,
        habits=("asks late", "stays to the end", "logs in often"),
    ),
    Plan(
        seed=103573338045341,
        steps=420,
        people=(0, 1, 2, 3, 4, 5),
        thieves=(0, 1),
        processes=2,
        settings=(
            ("REFRESH_RETRY_WINDOW", "3600"),
            ("REFRESH_ROTATION", "always"),
            ("SESSION_IDLE", "3h"),
        ),
        administrators=(0, 1),
        changes=CHANGES,
        habits=("asks late",),
    ),
    Plan(
        seed=185093328046795,
        steps=731,
        people=(0, 1, 2, 3),
        thieves=(0,),
        processes=3,
        faults=(
            "lost request",
            "lost answer",
            "duplicate",
            "lost commit",
            "lost acknowledgement",
            "store away",
            "crash after commit",
            "crash",
            "slow commit",
            "clock jump",
            "skewed clock",
            "key rotation",
        ),
        settings=(
            ("REFRESH_ROTATION", "on-request"),
            ("REFRESH_AUDIT", "sparse"),
            ("SESSION_IDLE", "3h"),
            ("SESSION_MAX", "4h"),
        ),
        administrators=(0, 1),
        changes=("secrets", "disabling", "permissions"),
        habits=("asks late", "stays to the end", "logs in often"),
        cap=2,
    ),
)
"""What went wrong once."""
