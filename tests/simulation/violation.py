"""What must never be, as who looks for it tells it. Knows nothing of what that is."""

from __future__ import annotations


class Violation(Exception):
    """Something that must never be: its kind, and what was seen."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(f"{kind}: {what}")
        self.kind = kind
