"""Nobody is refused as somebody is: an unknown or erased user as one whose secret is wrong.

The same answer for the same hashes in the same time, at the product's own hash, on both ways in.
Others who are there are for `alike` to compare. A table of the times is told. Security rule 9.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from app.argon2id import Parameters
from tests.prove.ranks import TELLING, told_apart
from tests.prove.refusals import (
    BASE,
    COUNTED,
    KEY,
    LEAST,
    NAME,
    SHIFT_S,
    Kind,
    compare,
    costs_differ,
    tell,
    times,
)
from tests.prove.tally import Tally
from tests.store.intruding import SQLITE

if TYPE_CHECKING:
    from collections.abc import Sequence

PROPERTY: Final = "unknown, erased, wrong at the product's own hash: same answer, same time"
SIZE: Final = 5_000
OF: Final = "attempts of each kind"
STEP: Final = 5_000
SHORT: Final = 16
STORES: Final = ("sqlite", "postgresql")

OWN: Final = Parameters(19_456, 2)
"""The product's."""
KINDS: Final = (
    BASE,
    Kind(KEY, "unknown"),
    Kind(KEY, "erased"),
    Kind(NAME, "wrong"),
    Kind(NAME, "unknown"),
)
"""A name whose user was erased is one that nobody has, which `alike` compares."""
SLOW: Final = 2_000
"""Attempts at what has to be noticed: of so many that takes 0.037."""
UNHASHED: Final = (BASE, Kind(KEY, "unknown"))
"""Which a service tells apart that spends no hash on nobody."""
ERASED: Final = (BASE, Kind(KEY, "erased"))
"""Which one tells apart that spends none on who was erased."""


def prove(url: str, count: int) -> Tally:
    """Try `count` of each kind; when there are enough, tell them apart by time."""
    tally, enough = Tally(), count >= TELLING
    now = OWN if enough else LEAST
    # It has a store and a server of its own, and waits for the most part.
    controls = ThreadPoolExecutor(1).submit(_are_noticed)
    if enough:
        controls.result()
    found = times(url, "all", KINDS, count, now, tally)
    tell(found, now, tally)
    if enough:
        compare(found, " at the product's hash", tally)
        slow = times(url, "slow", UNHASHED, SLOW, OWN, Tally(), TEST_SLOW_NOBODY=f"{SHIFT_S}")
        told = told_apart(slow[UNHASHED[1]], slow[BASE])
        tally.control("a millisecond more for nobody alone", noticed=told)
    for name, noticed in controls.result().items():
        tally.control(name, noticed=noticed)
    tally.tried += count
    return tally


def _are_noticed() -> dict[str, bool]:
    """The controls: whether each shows."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"{SQLITE}{folder}/gatebook.db"
        return {
            "no hash for nobody": _noticed(url, UNHASHED, TEST_UNHASHED="1"),
            "no hash for who was erased": _noticed(url, ERASED, TEST_UNHASHED_ERASED="1"),
        }


def _noticed(url: str, kinds: Sequence[Kind], **breach: str) -> bool:
    tally = Tally()
    times(url, kinds[1].who, kinds, COUNTED, LEAST, tally, **breach)
    return costs_differ(tally)
