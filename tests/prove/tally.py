"""What a proof counted: how often it tried, what was wrong, whether its control was caught.

Knows no property.
"""

from __future__ import annotations

from typing import Final

import msgspec

KEPT: Final = 20
"""Violations kept in words; all are counted."""


class Untried(Exception):
    """It can't be tried here, and why: neither kept nor a violation, and shows nothing."""


class Tally(msgspec.Struct):
    """Counts of one property on one store; tallies of several runs add up."""

    tried: int = 0
    violations: int = 0
    first: list[str] = []
    controls: dict[str, bool] = {}
    """Whether each deliberate breach was noticed."""
    figures: dict[str, float] = {}
    """Greatest measured values, by what they are."""
    counts: dict[str, int] = {}
    """How much there was of what the property is about."""
    untried: list[str] = []
    """What of the property can't be tried here, and why: then the rest of it shows nothing."""
    lines: list[str] = []
    """What is told as it is."""
    seconds: float = 0.0
    longest: float = 0.0
    """Seconds of the longest round."""

    def wrong(self, what: str) -> None:
        """Something that must never be."""
        self.violations += 1
        if len(self.first) < KEPT:
            self.first.append(what)

    def expect(self, right: bool, what: str) -> None:
        """Note `what` when it isn't right."""
        if not right:
            self.wrong(what)

    def control(self, name: str, *, noticed: bool) -> None:
        """A deliberate breach, which has to be noticed each time."""
        self.controls[name] = self.controls.get(name, True) and noticed

    def leave_out(self, what: str) -> None:
        """A part that can't be tried here, and why; the rest is, and may be wrong."""
        if what not in self.untried:
            self.untried = [*self.untried, what]

    def figure(self, name: str, value: float) -> None:
        """Keep the greatest."""
        self.figures[name] = max(value, self.figures.get(name, value))

    def count(self, name: str, number: int = 1) -> None:
        """Add to a count."""
        self.counts[name] = self.counts.get(name, 0) + number

    def add(self, other: Tally) -> None:
        """Take in what another run of the same property counted."""
        self.tried += other.tried
        self.violations += other.violations
        self.first = (self.first + other.first)[:KEPT]
        for name, noticed in other.controls.items():
            self.control(name, noticed=noticed)
        for name, value in other.figures.items():
            self.figure(name, value)
        for name, number in other.counts.items():
            self.count(name, number)
        for each in other.untried:
            self.leave_out(each)
        self.lines = self.lines + other.lines
        self.seconds += other.seconds
        self.longest = max(self.longest, other.longest)

    @property
    def holds(self) -> bool:
        """Nothing was wrong, and every deliberate breach was noticed."""
        return self.violations == 0 and all(self.controls.values())
