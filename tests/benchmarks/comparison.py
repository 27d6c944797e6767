"""Two sides measured in turn, A B A B, and what one is worth beside the other.

Knows nothing of what the sides are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from tests.benchmarks.figures import SAID, Summary, Verdict, added, ratios, summary, verdict

_NAMES: Final = 44
_COLUMN: Final = 11


By = Literal["rate", "CPU"]


class Turn(msgspec.Struct, frozen=True):
    """One turn of one side; `rate` is a second's, processor time is µs for each thing done."""

    rate: float
    cpu_us: float
    database_us: float | None = None


class Size(msgspec.Struct, frozen=True):
    """How much is measured: turns of each side, seconds of each, and of warming up before."""

    turns: int
    seconds: float
    warm_up: float


class Side(msgspec.Struct, frozen=True):
    """What the turns of one side came to."""

    name: str
    rate: Summary
    cpu_us: Summary
    database_us: Summary | None

    @property
    def whole_us(self) -> Summary:
        """Processor time with the database's counted in."""
        return self.cpu_us if self.database_us is None else added(self.cpu_us, self.database_us)


class Comparison(msgspec.Struct, frozen=True):
    """Both sides; ratios are the measured one's to the bare one's, 1 is as good as bare.

    `cpu_ratio` is the bare side's processor time over the measured one's, the database's left out,
    so that it is read like the ratio of rates: what the service would reach were it alone on the
    machine. `target` is what a median is to reach, None where there is none: that of the rates or,
    where `by` says so, of processor time with the database's counted in.
    """

    name: str
    conditions: str
    unit: str
    size: Size
    bare: Side
    measured: Side
    rate_ratio: Summary
    cpu_ratio: Summary
    target: float | None
    by: By = "rate"

    @property
    def ratio(self) -> Summary:
        """What the target is for."""
        if self.by == "rate":
            return self.rate_ratio
        return ratios(self.bare.whole_us.values, self.measured.whole_us.values)

    @property
    def verdict(self) -> Verdict | None:
        """Whether the target is reached."""
        return None if self.target is None else verdict(self.ratio, self.target, at_least=True)

    def lines(self) -> list[str]:
        """A table for people."""
        size = self.size
        return [
            self.name,
            f"  {self.conditions}",
            f"  n = {size.turns} turns of each side, {size.seconds:g} s each, taken A B A B",
            f"  {'':{_NAMES}}" + "".join(f"{each:>{_COLUMN}}" for each in ("median", "min", "max")),
            *self._side(self.bare),
            *self._side(self.measured),
            _row(f"ratio of {self.unit}s/s", self.rate_ratio, 3) + self._verdict("rate"),
            _row("ratio by CPU", self.cpu_ratio if self.by == "rate" else self.ratio, 3)
            + self._verdict("CPU"),
        ]

    def _verdict(self, by: By) -> str:
        if self.verdict is None or by != self.by:
            return ""
        return f"   target {self.target:.2f}: {SAID[self.verdict]}"

    def _side(self, side: Side) -> list[str]:
        rows = [
            _row(f"{side.name}: {self.unit}s/s", side.rate, 1),
            _row(f"{side.name}: µs of CPU a {self.unit}", side.cpu_us, 1),
        ]
        if side.database_us is not None:
            rows.append(_row(f"  and PostgreSQL's: µs a {self.unit}", side.database_us, 1))
        return rows


def alternate(
    size: Size, bare: Callable[[float], Turn], measured: Callable[[float], Turn]
) -> tuple[list[Turn], list[Turn]]:
    """Warm both up, then take their turns; the bare one's first."""
    bare(size.warm_up)
    measured(size.warm_up)
    pairs = [(bare(size.seconds), measured(size.seconds)) for _ in range(size.turns)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def compare(
    name: str,
    *,
    conditions: str,
    unit: str,
    size: Size,
    names: tuple[str, str],
    turns: tuple[Sequence[Turn], Sequence[Turn]],
    target: float | None,
    by: By = "rate",
) -> Comparison:
    """Sum up the turns; `names` and `turns` are the bare side's and the measured one's."""
    bare, measured = turns
    return Comparison(
        name,
        conditions,
        unit,
        size,
        _sum_up(names[0], bare),
        _sum_up(names[1], measured),
        ratios([each.rate for each in measured], [each.rate for each in bare]),
        ratios([each.cpu_us for each in bare], [each.cpu_us for each in measured]),
        target,
        by,
    )


def _sum_up(name: str, turns: Sequence[Turn]) -> Side:
    database = [each.database_us for each in turns if each.database_us is not None]
    return Side(
        name,
        summary([each.rate for each in turns]),
        summary([each.cpu_us for each in turns]),
        summary(database) if database else None,
    )


def _row(name: str, figures: Summary, digits: int) -> str:
    numbers = (figures.median, figures.least, figures.most)
    return f"  {name:{_NAMES}}" + "".join(f"{each:{_COLUMN},.{digits}f}" for each in numbers)
