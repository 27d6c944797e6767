"""What is answered is what is described, whatever is asked: many generated cases.

Each step makes others, and a server that does what it mustn't is found out. Security rules 8
and 30.
"""

from __future__ import annotations

import secrets
from typing import Final

from tests.http.conformance import BREACHES, BRIEF, PHASES, run, run_on_breaches
from tests.prove.tally import Tally

PROPERTY: Final = "generated requests find no fault and nothing undocumented"
SIZE: Final = 100
"""One without parameters has fewer."""
OF: Final = "cases of each operation, at most"
STEP: Final = 50
SHORT: Final = 6
STORES: Final = ("sqlite", "postgresql")


def prove(url: str, count: int) -> Tally:
    """Try `count` cases of each operation: always the same ones in the short form."""
    tally = Tally(tried=count)
    short = count == SHORT
    seed = None if short else secrets.randbelow(2**32)
    outcome = run(url, count, phases=BRIEF if short else PHASES, seed=seed)
    for each in outcome.wrong():
        tally.wrong(each if seed is None else f"seed {seed}: {each}")
    tally.count("cases", outcome.report.test_cases.generated)
    found = run_on_breaches(url)
    for breach in BREACHES:
        tally.control(breach, noticed=found.noticed(breach))
    return tally
