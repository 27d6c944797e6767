"""How a server-sent event is spelled.

Knows no event.
"""

from __future__ import annotations

import msgspec
from litestar.response import ServerSentEventMessage


def message(event: str, body: msgspec.Struct, place: str | None = None) -> ServerSentEventMessage:
    """An event with a Struct as JSON; `place` is what a reader resumes from."""
    return ServerSentEventMessage(data=msgspec.json.encode(body).decode(), event=event, id=place)
