"""Figures of several turns: what is in the middle, and how far they spread.

Knows nothing of what was measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec


class Summary(msgspec.Struct, frozen=True):
    """A figure of each turn, in their order, and what they come to."""

    n: int
    median: float
    least: float
    most: float
    values: tuple[float, ...]


def summary(values: Sequence[float]) -> Summary:
    """Sum up at least one figure; raises ValueError when there is none."""
    if not values:
        raise ValueError("There are no figures to sum up.")
    return Summary(len(values), statistics.median(values), min(values), max(values), tuple(values))


def ratios(of: Sequence[float], to: Sequence[float]) -> Summary:
    """Sum up each figure over the one beside it.

    Turns that stand beside each other met the same machine, so that their ratio is steadier than
    that of the medians. Raises ValueError when the numbers of turns differ.
    """
    return summary([one / other for one, other in zip(of, to, strict=True)])
