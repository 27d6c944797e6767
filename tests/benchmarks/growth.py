"""What came of asking a small and a large store the same: figures, targets, and a table for people.

Knows nothing of how it was asked.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple

import msgspec

from tests.benchmarks.figures import (
    SAID,
    Summary,
    Verdict,
    ratios,
    summary,
    together,
    told,
    verdict,
)

WITHIN: Final = 1.2
"""Of the small store's time, for the median and for 99 of 100 answers of every endpoint."""
LATE_OF: Final = 500
"""Requests at least, for what 99 of 100 take to say something."""
DRAWN: Final = 1000
"""Times that the requests are drawn anew, for how far such a ratio spreads by itself."""
START_WITHIN: Final = 1.5
RESIDENT_MB: Final = 150.0


class Size(NamedTuple):
    """How much is asked: turns, requests of each kind in a turn, starts, and loaded people.

    `rated` are the seconds of a turn under load, of which there are as many as starts.
    """

    turns: int
    asked: int
    starts: int
    loaded: int
    seconds: float
    rated: float = 0.0


class Asked(msgspec.Struct, frozen=True):
    """One kind of request on both stores, in ms; CPU in µs a request, over all.

    Medians are told turn by turn. The time that 99 of 100 take at most is that of all turns
    together: of one turn's requests it would be the second-worst or so, which says little. Its
    ratio rests on a few requests, so that it is told with what it comes to in 95 of 100 sets that
    are drawn from the same pairs, with repeats (the bootstrap); None in files from before that.
    """

    name: str
    requests: int
    median_ms: tuple[Summary, Summary]
    late_ms: tuple[float, float]
    median_ratio: Summary
    cpu_us: tuple[float, float]
    late_within: tuple[float, float] | None = None

    @property
    def late_ratio(self) -> float:
        """How much later 99 of 100 are answered."""
        return self.late_ms[1] / self.late_ms[0]

    @property
    def verdict(self) -> Verdict:
        """Whether neither grows by more than it may."""
        return together([verdict(self.median_ratio, WITHIN), self.late_verdict])

    @property
    def late_verdict(self) -> Verdict:
        """Whether 99 of 100 are answered no later than they may."""
        if self.requests < LATE_OF:
            return "open"
        return "reached" if self.late_ratio <= WITHIN else "missed"

    def line(self) -> str:
        """A row of the table."""
        few, many = self.median_ms
        numbers = (
            *(few.median, many.median, self.median_ratio.median),
            *(*self.late_ms, self.late_ratio),
        )
        text = "".join(f"{each:9.2f}" for each in numbers)
        within = "" if self.late_within is None else "{:.2f}-{:.2f}".format(*self.late_within)
        text += f"{within:>11}{self.cpu_us[1]:9.0f}{self.cpu_us[1] / self.cpu_us[0]:9.2f}"
        return f"  {self.name:30}{text}{self._mark()}"

    def _mark(self) -> str:
        return f"   {SAID['missed']}" if self.verdict == "missed" else ""


class Rates(msgspec.Struct, frozen=True):
    """Refreshes a second under load, on the small and on the large store, and their ratio.

    By as many people on both. `cold`: of a service just started, with nothing of its file in the
    system's memory.
    """

    cold: bool
    people: int
    connections: int
    few: Summary
    many: Summary
    ratio: Summary

    @property
    def name(self) -> str:
        """What was asked."""
        where = "from the disk" if self.cold else "from memory"
        return f"/refresh at {self.connections} connections, {where}"

    @property
    def note(self) -> str:
        """What it came to on each."""
        turns = f"{self.ratio.n} turn{'s' if self.ratio.n > 1 else ''}"
        return (
            f"{self.few.median:,.0f} and {self.many.median:,.0f} a second, by {self.people:,} "
            f"people; {turns}"
        )


class Growth(msgspec.Struct, frozen=True):
    """A small and a large store; starts in s, memory in MB: after all that was asked, and load.

    `loaded` is how many requests that load was. `rates` are empty in files from before they were
    measured.
    """

    store: str
    users: tuple[int, int]
    size: Size
    asked: list[Asked]
    start_s: tuple[Summary, Summary]
    start_ratio: Summary
    resident_mb: tuple[float, float]
    loaded: int
    loaded_mb: float
    rates: list[Rates] = msgspec.field(default_factory=list)

    def lines(self) -> list[str]:
        """A table for people."""
        few, many = self.users
        size = self.size
        start = self.start_ratio.median
        heads = (f"{few:,}", f"{many:,}", "ratio")
        times = "".join(f"{each:>9}" for each in (*heads, *heads))
        cpu = "".join(f"{each:>9}" for each in heads[1:])
        counted = (
            f"n = {size.turns} turns of {size.asked} requests of each kind, one here and one there;"
            f" medians of turns, and 99 of 100 of all; ratios at most {WITHIN}"
        )
        started = (
            f"started, to the first answer: {self.start_s[0].median:.2f} s and"
            f" {self.start_s[1].median:.2f} s, ratio {start:.2f} (n = {self.start_ratio.n};"
            f" at most {START_WITHIN}: {SAID[verdict(self.start_ratio, START_WITHIN)]})"
        )
        before, after = self.resident_mb
        loaded = told(self.loaded_mb, RESIDENT_MB, 0)
        most = SAID[verdict(summary([self.loaded_mb]), RESIDENT_MB)]
        resident = (
            f"resident: {before:.0f} MB and {after:.0f} MB after that; {loaded} MB"
            f" after {self.loaded:,} requests of as many people, hashed by default"
            f" (at most {RESIDENT_MB:.0f}: {most})"
        )
        return [
            f"{few:,} and {many:,} people on {self.store}",
            f"  {counted}",
            f"  {'':30}{'median, ms':>27}{'99 of 100, ms':>38}{'CPU, µs':>18}",
            f"  {'':30}{times}{'by chance':>11}{cpu}",
            *(each.line() for each in self.asked),
            *(
                f"  {each.name}: {each.ratio.median:.2f} times the rate ({each.ratio.least:.2f} to"
                f" {each.ratio.most:.2f}); {each.note}"
                for each in self.rates
            ),
            f"  {started}",
            f"  {resident}",
        ]


def summed_up(
    name: str, few: list[list[float]], many: list[list[float]], cpu_us: tuple[float, float]
) -> Asked:
    """What the turns on the small and on the large store came to, each in ms."""
    medians = [list(map(statistics.median, each)) for each in (few, many)]
    pairs = list(zip(chain.from_iterable(few), chain.from_iterable(many), strict=True))
    late = late_of(pairs)
    return Asked(
        name,
        len(pairs),
        (summary(medians[0]), summary(medians[1])),
        late,
        ratios(medians[1], medians[0]),
        (max(cpu_us[0], 0.1), cpu_us[1]),
        drawn_anew(pairs),
    )


def late_of(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The time that 99 of 100 take at most, of the firsts and of the seconds."""
    few, many = zip(*pairs, strict=True)
    return percentile_99(few), percentile_99(many)


def drawn_anew(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Between which ratios of `late_of` 95 of 100 sets are that are drawn from the pairs.

    By pairs, since both of one met the same machine. The same each time for the same pairs.
    """
    chance = random.Random(len(pairs))
    found = []
    for _ in range(DRAWN):
        few, many = late_of(chance.choices(pairs, k=len(pairs)))
        found.append(many / few)
    found.sort()
    return found[DRAWN * 25 // 1000], found[DRAWN * 975 // 1000 - 1]


def percentile_99(values: Sequence[float]) -> float:
    """Of a hundred, all but one are at most so great."""
    return sorted(values)[max(0, -(-len(values) * 99 // 100) - 1)]
