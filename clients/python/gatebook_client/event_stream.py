"""The log as it happens: what a stream of it says, and where to go on when it breaks.

Knows no connection.
"""

from __future__ import annotations

from typing import Final

import httpx
import msgspec

from gatebook_client.answers import Event
from gatebook_client.sse import SentEvent
from gatebook_client.wire import decode

SILENCE: Final = 60.0
"""Seconds without a word until a stream counts as broken; it says something more often."""


class Following:
    """One reader's place in the log."""

    def __init__(self, path: str, after: str | None) -> None:
        self.path = path
        self.timeout: Final = httpx.Timeout(10.0, read=SILENCE)
        self._place = after

    @property
    def headers(self) -> dict[str, str]:
        """What to ask with, from where one is."""
        more = {} if self._place is None else {"Last-Event-ID": self._place}
        return {"Accept": "text/event-stream", **more}

    def heard(self, sent: SentEvent | None) -> Event | None:
        """The event of the log that was told, if one was."""
        if sent is None or sent.name != "event":
            return None
        event = decode(sent.data, Event)
        self._place = sent.place or self._place
        return msgspec.structs.replace(event, place=sent.place or "")
