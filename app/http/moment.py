"""A moment of the past, as a request names it: `at` a time, or at a `position` in the log.

Knows nothing of what is looked at.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from litestar.params import QueryParameter

from app.as_of import Moment
from app.timestamps import parse_rfc3339
from domain.errors import Fault, InvalidRequest

At = Annotated[
    str,
    QueryParameter(
        description="As of this time, after all that happened by then: RFC 3339, with `Z` or an "
        "offset, or a bare date. One that hasn't come yet is refused."
    ),
]
Position = Annotated[
    str,
    QueryParameter(
        description="As of when this position was the head of the log. Not together with `at`."
    ),
]
UNSAID: Final = ""

_POSITION: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def moment_of(given: Mapping[str, str], at: str, position: str) -> Moment | None:
    """The moment that is asked for, None without one; `given` tells empty values from none.

    Raises `InvalidRequest`.
    """
    if "at" in given and "position" in given:
        raise _refused("position", "Give a time or a position, not both.")
    if "position" in given:
        if not _POSITION.fullmatch(position):
            raise _refused("position", "A position is a whole number from 1 on.")
        return Moment(position=int(position))
    if "at" in given:
        try:
            return Moment(at=parse_rfc3339(at))
        except ValueError as error:
            raise _refused("at", str(error)) from None
    return None


def _refused(name: str, why: str) -> InvalidRequest:
    return InvalidRequest.of(Fault(f"/{name}", why))
