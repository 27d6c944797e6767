"""Where the parts of the model are told of: pages of the documentation, the API, the log.

Paths below the service's own address.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from app.web.markdown import anchor
from app.web.model.graph import Kind

EVENTS: Final = "/docs/reference/events"
MODEL: Final = "/docs/reference/model"
COMMAND_LINE: Final = "/docs/reference/cli"
API: Final = "/schema"
LOG: Final = "/admin/log"


def address(kind: Kind, label: str) -> str:
    """Where to read about something."""
    if kind == "event":
        return f"{EVENTS}#{anchor(label)}"
    if kind != "reader":
        return f"{MODEL}#{anchor(label)}"
    if label.startswith("/"):
        return label
    return f"{COMMAND_LINE}#{anchor(label)}" if label.startswith("gatebook ") else API


def log_of(topic: str) -> str:
    """Where to read the events of a type."""
    return f"{LOG}?{urlencode({'type': topic})}"
