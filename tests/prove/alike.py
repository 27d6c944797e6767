"""Whoever is there is refused alike: wrong, disabled or of an older hash, by key or by name.

The same answer for the same hashes in the same time, and a name whose user was erased as one that
nobody has. The hash is a light one, beside which whatever is done for one of them alone weighs
more; that nobody is refused as somebody is, at the product's own, is for `nobody` to try. A table
of the times is told, of all kinds. Security rule 9.
"""

from __future__ import annotations

from typing import Final

from app.argon2id import Parameters
from tests.prove.ranks import TELLING, told_apart
from tests.prove.refusals import (
    BASE,
    COUNTED,
    KEY,
    LEAST,
    NAME,
    Kind,
    compare,
    costs_differ,
    tell,
    times,
)
from tests.prove.tally import Tally

PROPERTY: Final = "disabled, wrong, older hash; an erased name, a free one: same answer, same time"
SIZE: Final = 5_000
OF: Final = "attempts of each kind"
STEP: Final = 5_000
SHORT: Final = 16
STORES: Final = ("sqlite", "postgresql")
BREACHES: Final = 3_000
"""Attempts at what has to be noticed: of so many that takes 0.03. On a quiet machine it was above
0.4 on SQLite and 0.16 on PostgreSQL, and 0.06 at least where eleven programs shared two cores."""

LIGHT: Final = Parameters(2_048, 1)
"""Nobody, and by key who was erased, are told in the table only: no service that is set up as the
product comes has such a hash."""

KINDS: Final = (
    BASE,
    Kind(KEY, "unknown"),
    Kind(KEY, "erased"),
    Kind(KEY, "disabled"),
    Kind(KEY, "wrong", older=True),
    Kind(KEY, "disabled", older=True),
    Kind(NAME, "wrong"),
    Kind(NAME, "unknown"),
    Kind(NAME, "erased"),
    Kind(NAME, "wrong", older=True),
    Kind(NAME, "disabled", older=True),
)
THERE: Final = tuple(kind for kind in KINDS if kind.who not in {"unknown", "erased"})
NAMELESS: Final = (Kind(NAME, "unknown"), Kind(NAME, "erased"))
"""Names that lead nowhere, which no hash has to hide from each other."""
BREACHED: Final = (BASE, Kind(KEY, "wrong", older=True))
"""Which a service tells apart that spends the user's own hash alone."""


def prove(url: str, count: int) -> Tally:
    """Try `count` of each kind; when there are enough, tell them apart by time."""
    tally, enough = Tally(), count >= TELLING
    now = LIGHT if enough else LEAST
    found = times(url, "all", KINDS, count, now, tally)
    tell(found, now, tally)
    if enough:
        compare({kind: found[kind] for kind in THERE}, "", tally)
        compare({kind: found[kind] for kind in NAMELESS}, "", tally, "unknown")
    breach = Tally()
    told = times(
        url, "breach", BREACHED, BREACHES if enough else COUNTED, now, breach, TEST_OWN_HASH="1"
    )
    tally.control("whose hash alone is spent, by count", noticed=costs_differ(breach))
    if enough:
        noticed = told_apart(told[BREACHED[1]], told[BASE])
        tally.control("whose hash alone is spent, by time", noticed=noticed)
    tally.tried += count
    return tally
