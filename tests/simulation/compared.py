"""`python -m tests.simulation.compared`: rules for rotating compared, as a page and a picture.

Writes the figures to `tests/golden/rotations.json`, and what is made of them to
`docs/explanation/rotation-compared.md` and `docs/rotation.svg`. The same lives are led under all
rules, and the same each time. Knows no service.
"""

from __future__ import annotations

import random
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from tests.simulation import comparison_page
from tests.simulation.lives import MONTH, Life, Theft
from tests.simulation.rotations import KINDS, Kind

ROOT: Final = Path(__file__).parents[2]
FIGURES: Final = ROOT / "tests" / "golden" / "rotations.json"
PAGE: Final = ROOT / "docs" / "explanation" / "rotation-compared.md"
PICTURE: Final = ROOT / "docs" / "rotation.svg"
CLIENTS: Final = 1_000
THEFTS: Final = 1_000


class Figures(msgspec.Struct, frozen=True):
    """What one kind of rules came to; times in whole seconds."""

    name: str
    clients: int
    renewals: int
    log_outs: int
    thefts: int
    got_in: int
    undetected: int
    """Of those who got in, until the end of the month."""
    median_s: int
    late_s: int
    """Until the end of the session, of nineteen in twenty that ended."""


def figures(kind: Kind, clients: int = CLIENTS, thefts: int = THEFTS) -> Figures:
    """So many months of clients, and so many thefts."""
    lives = [Life(kind, random.Random(f"client {each}")).run() for each in range(clients)]
    robbed = [_robbed(kind, random.Random(f"theft {each}")) for each in range(thefts)]
    got_in = [each for each in robbed if each.in_at is not None]
    took = sorted(
        each.ended_at - each.in_at
        for each in got_in
        if each.ended_at is not None and each.in_at is not None
    )
    return Figures(
        kind.name,
        clients,
        sum(each.renewals for each in lives),
        sum(each.log_outs for each in lives),
        thefts,
        len(got_in),
        len(got_in) - len(took),
        round(median(took)) if took else 0,
        round(took[int(len(took) * 0.95)]) if took else 0,
    )


def _robbed(kind: Kind, rng: random.Random) -> Theft:
    at, after = rng.uniform(0, MONTH / 3), 10 ** rng.uniform(0, 5.8)
    theft = Life(kind, rng).rob(at, after).run().theft
    assert theft is not None
    return theft


def read() -> list[Figures]:
    """The figures as they are kept."""
    return msgspec.json.decode(FIGURES.read_bytes(), type=list[Figures])


def write(found: list[Figures]) -> None:
    """Everything that is made of figures."""
    FIGURES.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    PAGE.write_text(comparison_page.page(found), encoding="utf-8")
    PICTURE.write_text(comparison_page.picture(found), encoding="utf-8")


if __name__ == "__main__":
    write([figures(kind) for kind in KINDS])
