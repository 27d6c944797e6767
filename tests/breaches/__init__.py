"""What may be broken in a service of the tests: each is a control, that a test has to notice.

A breach is switched on by `GATEBOOK_TEST_` and its name, and gets the setting's value; what it
breaks is its docstring. A module is of one noun, and says in `BREACHES` what it has: those are made
in a service that has started, those of `BEFORE` before there is one.

Knows how to reach into a running service, and nothing of what the tests look for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from app.bootstrap import Service

Breach = Callable[[Service, str], None]
PREFIX: Final = "GATEBOOK_TEST_"
