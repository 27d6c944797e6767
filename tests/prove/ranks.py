"""Times compared by rank: whether one kind of request is told from another by how long it takes.

The AUC is the chance that a random one of one kind takes longer than a random one of another (Mann
and Whitney's U): 0.5 for the same distribution. Knows no request.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

TELLING: Final = 5_000
"""Attempts of a kind from which on times say something: by chance alone the AUC of so many is
further than `ALIKE` from a half once in 1,800 times; one that is 0.04 off is within it as
seldom."""
ALIKE: Final = 0.02
SURE: Final = 4
"""Standard errors: by chance alone an AUC is further from a half once in 15,000 times."""


def percentiles(of: Sequence[float], percents: Sequence[int]) -> list[float]:
    """What so many percent of them are at most."""
    ordered = sorted(of)
    return [ordered[max(0, math.ceil(each * len(of) / 100) - 1)] for each in percents]


def auc(of: Sequence[float], to: Sequence[float]) -> float:
    """How likely a random one of `of` is greater than a random one of `to`; a tie is half."""
    ordered = sorted(to)
    wins = sum(bisect_left(ordered, each) + bisect_right(ordered, each) for each in of)
    return wins / (2 * len(of) * len(to))


def by_chance(of: int, to: int) -> float:
    """The standard error of the AUC of so many, where both are of the same distribution."""
    return math.sqrt((of + to + 1) / (12 * of * to))


def told_apart(of: Sequence[float], to: Sequence[float]) -> bool:
    """Not alike, and by more than chance comes to: what a control has to be."""
    least = max(ALIKE, SURE * by_chance(len(of), len(to)))
    return abs(auc(of, to) - 0.5) > least
