"""What came of `/refresh` beside logins, and of too many logins: figures, targets, and a table.

Knows nothing of how it was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from tests.benchmarks.figures import SAID, Summary, Verdict, summary, verdict
from tests.benchmarks.paced import Taken, percentile

RATIO: Final = 3.0
"""At most, of the p99 of `/refresh` alone."""
AT_ONCE_MS: Final = 50.0
"""At most, for `/healthz` and for a refusal."""


class Times(msgspec.Struct, frozen=True):
    """Milliseconds from the planned moment to the answer, by turn."""

    p50: Summary
    p99: Summary
    most: float

    @classmethod
    def of(cls, turns: Sequence[Sequence[Taken]]) -> Times:
        """Sum up turns of at least one answer each."""
        ms = [[each.ms for each in turn] for turn in turns]
        return cls(
            summary([percentile(each, 0.50) for each in ms]),
            summary([percentile(each, 0.99) for each in ms]),
            max(map(max, ms)),
        )


class Row(NamedTuple):
    """A figure, and what its median may be at most."""

    name: str
    figure: Summary
    most: float

    @property
    def verdict(self) -> Verdict:
        """Whether it is no more."""
        return verdict(self.figure, self.most)


class Mixed(msgspec.Struct, frozen=True):
    """What became of the requests; `ratio` is of the p99 of `/refresh`, beside to alone.

    `logins` is a second's, and so is `hashed`, by bare argon2 on as many threads. `refused` are
    those of `overload` logins that were answered 503, in all turns of too many, `beside_refused`
    those beside refreshes. The last two are None in files from before they were noted.
    """

    store: str
    conditions: str
    alone: Times
    beside: Times
    ratio: Summary
    health: Times
    logins: Summary
    overload: int
    refused: int
    refusal: Times
    hashed: Summary | None = None
    beside_refused: int | None = None

    @property
    def rows(self) -> list[Row]:
        """What has a target."""
        return [
            Row(f"/refresh beside logins on {self.store}, p99 to alone", self.ratio, RATIO),
            Row(f"/healthz beside logins on {self.store}, p99 in ms", self.health.p99, AT_ONCE_MS),
            Row(f"503 to too many logins on {self.store}, p99 in ms", self.refusal.p99, AT_ONCE_MS),
        ]

    def lines(self) -> list[str]:
        """A table for people."""
        times = {
            "/refresh alone": self.alone,
            "/refresh beside logins": self.beside,
            "/healthz beside logins": self.health,
            "503 to too many logins": self.refusal,
        }
        bare = "" if self.hashed is None else f" ({self.hashed.median:.1f} by bare argon2)"
        none = "" if self.beside_refused is None else f", {self.beside_refused} refused"
        told = (
            f"  {self.alone.p99.n} turns; {self.logins.median:.1f} logins/s{bare}{none}; "
            f"{self.refused} of {self.overload} refused where there were too many"
        )
        return [
            f"Mixed load on {self.store}",
            f"  {self.conditions}",
            told,
            f"  {'ms':40}{'p50':>9}{'p99':>9}{'of turns':>18}{'worst':>9}",
            *(
                f"  {name:40}{each.p50.median:9.1f}{each.p99.median:9.1f}"
                f"{_spread(each.p99, 1):>18}{each.most:9.1f}"
                for name, each in times.items()
            ),
            *(
                f"  {row.name:56}{row.figure.median:8.2f}{_spread(row.figure, 2):>18}"
                f"   at most {row.most:g}: {SAID[row.verdict]}"
                for row in self.rows
            ),
        ]


def _spread(figure: Summary, digits: int) -> str:
    return f"{figure.least:.{digits}f} to {figure.most:.{digits}f}"
