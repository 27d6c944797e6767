"""Figures of several turns: what is in the middle, and how far they spread.

Knows nothing of what was measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

ENOUGH: Final = 3
"""Turns; of two there is none in the middle."""

Verdict = Literal["reached", "missed", "open"]
SAID: Final[dict[Verdict, str]] = {
    "reached": "reached",
    "missed": "NOT reached",
    "open": "too few turns to say",
}


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


def added(*figures: Summary) -> Summary:
    """Sum up what each turn's figures are together."""
    return summary([sum(each) for each in zip(*(one.values for one in figures), strict=True)])


def inverse(figure: Summary) -> Summary:
    """Sum up how many times each turn's figure goes into one."""
    return summary([1 / each for each in figure.values])


def told(value: float, limit: float, digits: int) -> str:
    """A figure with so many digits after the point, and more until it is on its side of a limit."""
    while (round(value, digits) <= limit) != (value <= limit):
        digits += 1
    return f"{value:,.{digits}f}"


def verdict(figure: Summary, target: float, *, at_least: bool = False) -> Verdict:
    """Whether the median is at most the target, or at least; of few turns only if they agree."""

    def reaches(value: float) -> bool:
        return value >= target if at_least else value <= target

    if figure.n < ENOUGH and reaches(figure.least) != reaches(figure.most):
        return "open"
    return "reached" if reaches(figure.median) else "missed"


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """One miss is a miss, and nothing is reached while something is open."""
    order: tuple[Verdict, ...] = ("missed", "open", "reached")
    return min(verdicts, key=order.index)
