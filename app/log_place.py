"""A place in one log, as readers keep it: `LOG_ID:POSITION`.

A position means nothing in another log. Knows no reader.
"""

from __future__ import annotations

import re
from typing import Final

from app.eventstore.log import Head
from app.paging import wrong_place
from domain.errors import LogChanged

_FORM: Final = re.compile(r"([0-9A-Za-z]{22}):([0-9]{1,18})")


def log_place(log_id: str, position: int) -> str:
    """The place of a position."""
    return f"{log_id}:{position}"


def is_place(text: str | None) -> bool:
    """Whether it has the form of one."""
    return text is not None and _FORM.fullmatch(text) is not None


def position_of(place: str, head: Head) -> int:
    """The position of a place in the log that ends at `head`.

    Raises `InvalidRequest` for what is no place, `LogChanged` for one of another log or beyond
    the head.
    """
    found = _FORM.fullmatch(place)
    if found is None:
        raise wrong_place("A place in the log is LOG_ID:POSITION.")
    position = int(found[2])
    if found[1] != head.log_id or position > head.position:
        msg = "This place is of another log, or beyond the end of this one. Start again without it."
        raise LogChanged(msg)
    return position
