"""What is wrong with a store: which row of which table, and why.

Knows nothing of how it is found. Never holds anything personal.
"""

from __future__ import annotations

from typing import Final

import msgspec

from projections.comparison import spelled
from projections.storage import Value

KEPT: Final = 10_000
"""Findings told one by one; what is more is counted."""


class Finding(msgspec.Struct, frozen=True):
    """A row that isn't as it must be, by its table and its key there."""

    table: str
    key: str
    detail: str


class Findings:
    """What was found so far, in that order."""

    def __init__(self) -> None:
        self._found: list[Finding] = []
        self._more = 0
        self.notes: list[Finding] = []

    def note(self, table: str, key: Value, detail: str) -> None:
        """Something to know that isn't wrong."""
        self.notes.append(Finding(table, spelled(key), detail))

    def add(self, table: str, key: Value, detail: str) -> None:
        """One more."""
        if len(self._found) < KEPT:
            self._found.append(Finding(table, spelled(key), detail))
        else:
            self._more += 1

    def told(self) -> list[Finding]:
        """All of them; when there are too many, the last one says how many more."""
        if not self._more:
            return self._found
        return [*self._found, Finding("", "", f"There are {self._more} findings more.")]
