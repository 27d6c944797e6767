"""What a run came to, and how whatever ended it is told."""

from __future__ import annotations

import traceback
from pathlib import Path

import msgspec

from tests.simulation.violation import Violation


class Outcome(msgspec.Struct, frozen=True):
    """What a run came to. `trace` is the same for the same plan, whatever ids were drawn."""

    steps: int
    trace: str
    counts: dict[str, int]
    kind: str = ""
    violation: str = ""


def told(error: Exception) -> tuple[str, str]:
    """Which kind of violation it is, and what was seen."""
    if isinstance(error, Violation):
        return error.kind, str(error)
    kind = type(error).__name__
    (*_, last) = traceback.extract_tb(error.__traceback__)
    return kind, f"{kind}: {error} ({Path(last.filename).name}, line {last.lineno})"
