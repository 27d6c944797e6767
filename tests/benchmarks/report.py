"""All that a run of the benchmarks measured, as it is kept: JSON, one file for each benchmark.

Knows the benchmarks' figures, and neither how they come about nor how they are shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from tests.benchmarks.bench_idle import Idle
from tests.benchmarks.bench_log import LogFigures
from tests.benchmarks.bench_pages import PageCost
from tests.benchmarks.bench_parts import Parts
from tests.benchmarks.bench_storing import Storing
from tests.benchmarks.bench_verifying import Verifying
from tests.benchmarks.comparison import Comparison
from tests.benchmarks.figures import Summary
from tests.benchmarks.growth import Growth
from tests.benchmarks.machine import Machine
from tests.benchmarks.mixed import Mixed

ROOT: Final = Path(__file__).parents[2]
KEPT: Final = ROOT / "docs" / "explanation" / "benchmarks"
"""Where the figures are that the documentation shows, and the charts made of them."""

OTHERS: Final = 0.05
"""Of a core: what others may take before figures are said to be noisy."""


class Report(msgspec.Struct, omit_defaults=True):
    """All that was measured; `tokens` are µs of CPU a call, by what is done and by whom."""

    machine: Machine
    load_from: str
    quick: bool = False
    users: int | None = None
    """Of the large stores, where their number was given."""
    made: str = ""
    """The day on which the run began, in UTC; empty in files from before it was noted."""
    commit: str = ""
    """What was measured, as `machine.commit` says it."""
    others: float | None = None
    """Of a core, what other programs took meanwhile; of several benchmarks the most."""
    comparisons: list[Comparison] = msgspec.field(default_factory=list)
    parts: list[Parts] = msgspec.field(default_factory=list)
    tokens: dict[str, dict[str, Summary]] = msgspec.field(default_factory=dict)
    verifying: list[Verifying] = msgspec.field(default_factory=list)
    mixed: list[Mixed] = msgspec.field(default_factory=list)
    log: LogFigures | None = None
    idle: list[Idle] = msgspec.field(default_factory=list)
    pages: list[PageCost] = msgspec.field(default_factory=list)
    storing: list[Storing] = msgspec.field(default_factory=list)
    growth: list[Growth] = msgspec.field(default_factory=list)
    failures: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def busy(self) -> bool:
        """Whether others used the machine meanwhile; where that isn't known, before."""
        return self.machine.busy if self.others is None else self.others > OTHERS

    def nothing_yet(self) -> Report:
        """A report of the same run, for what is measured next."""
        return Report(self.machine, self.load_from, self.quick, self.users, self.made, self.commit)

    def add(self, other: Report) -> None:
        """Take over what another report of the same run has."""
        if other.others is not None:
            self.others = max(other.others, self.others or 0.0)
        self.comparisons += other.comparisons
        self.parts += other.parts
        self.tokens |= other.tokens
        self.verifying += other.verifying
        self.mixed += other.mixed
        self.log = other.log or self.log
        self.idle += other.idle
        self.pages += other.pages
        self.storing += other.storing
        self.growth += other.growth
        self.failures |= other.failures


def write(report: Report, path: Path) -> None:
    """Write a report as JSON, with indents."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def read(path: Path) -> Report:
    """Read a report."""
    return msgspec.json.decode(path.read_bytes(), type=Report)


def kept(folder: Path = KEPT) -> dict[str, Report]:
    """What is kept of each benchmark, by its name."""
    return {path.stem: read(path) for path in sorted(folder.glob("*.json"))}
