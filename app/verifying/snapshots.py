"""Kept states: each opens, and is what its stream's events add up to.

They are disposable, so that none is ever missing. Knows no view and no other stream's state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from app.eventstore import snapshot
from app.vault import open_sealed_bytes
from app.verifying.findings import Findings
from app.verifying.keys import Keys
from app.verifying.log import Step
from domain.aggregate import USER
from domain.errors import Damage
from domain.user import User
from projections.comparison import spelled
from projections.storage import Row, Rows

_ALL: Final = "SELECT stream, version, topic, state FROM snapshots"
_DAMAGED: Final = "This state was changed. It is disposable: remove the row."

_decode = msgspec.msgpack.Decoder(User).decode


class Snapshots:
    """Folds the streams that have one, up to where that is."""

    def __init__(self, rows: Rows, keys: Keys, findings: Findings) -> None:
        self._keys = keys
        self._findings = findings
        self._rows: list[Row] = [row for batch in rows.scan(_ALL) for row in batch]
        self._until = {
            stream: version
            for stream, version, topic, _ in self._rows
            if topic == snapshot.TOPIC and isinstance(stream, str) and isinstance(version, int)
        }
        self._states: dict[str, User] = {stream: User() for stream in self._until}

    def take(self, step: Step) -> None:
        """The next event."""
        recorded = step.recorded
        if recorded is None or recorded.stream not in self._until:
            return
        if recorded.version <= self._until[recorded.stream]:
            state = self._states[recorded.stream]
            self._states[recorded.stream] = USER.evolve(state, recorded)

    def finish(self, is_erased: Callable[[str], bool]) -> None:
        """Compare; of whoever was erased nothing can be read, and nobody needs it."""
        for stream, version, topic, state in self._rows:
            if is_erased(str(stream)) or (stream, 0) in self._keys.broken:
                continue
            wrong = self._wrong(str(stream), version, topic, state)
            if wrong:
                self._findings.add("snapshots", spelled(stream, version), wrong)

    def _wrong(self, stream: str, version: object, topic: object, state: object) -> str | None:
        key = self._keys.persons.get(stream)
        if key is None:
            return "This state is of nobody in the log."
        if not isinstance(version, int) or not isinstance(state, bytes):
            return _DAMAGED
        try:
            content = open_sealed_bytes(key, state, stream, "state", at=(str(topic), version))
            if topic != snapshot.TOPIC:  # of another release, which is passed over
                return None
            kept = _decode(content)
        except (Damage, msgspec.DecodeError):
            return _DAMAGED
        if kept != self._states[stream]:
            return "This state isn't what the events add up to. It is disposable: remove the row."
        return None
