"""Server-sent events, out of the lines of an answer.

Knows no event.
"""

from __future__ import annotations

from typing import NamedTuple


class SentEvent(NamedTuple):
    """One event; `place` is what to resume from, if it has one."""

    name: str
    data: str
    place: str | None


class EventReader:
    """Takes lines, without their ends, and gives an event when it is whole."""

    def __init__(self) -> None:
        self._name = ""
        self._data: list[str] = []
        self._place: str | None = None

    def feed(self, line: str) -> SentEvent | None:
        """The event that ends with this line."""
        if not line:
            found = SentEvent(self._name or "message", "\n".join(self._data), self._place)
            whole = bool(self._data)
            self._name, self._data, self._place = "", [], None
            return found if whole else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
        elif name == "id":
            self._place = value
        return None
