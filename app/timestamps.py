"""Times as people and programs outside read them.

Inside they are µs since the epoch; outside RFC 3339, UTC, six decimals, `Z`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_FORM = re.compile(
    r"\d{4}-\d{2}-\d{2}([Tt]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2}))?", re.ASCII
)
_FINER = re.compile(r"(?<=\.\d{6})\d+", re.ASCII)
_GIVE = "Give a time such as 2026-11-23T17:08:32Z, or a date."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_UTC = _EPOCH.replace(tzinfo=None)  # whose text has no offset


def rfc3339(micros: int) -> str:
    """`2026-11-23T17:08:32.000000Z` for µs since the epoch."""
    moment = _EPOCH_UTC + timedelta(microseconds=micros)
    return moment.isoformat(timespec="microseconds") + "Z"


def parse_rfc3339(text: str) -> int:
    """µs since the epoch of a time with `Z` or an offset, or of a bare date's first moment.

    Raises `ValueError` for anything else, which says why, for whoever wrote it.
    """
    if not _FORM.fullmatch(text):
        raise ValueError(_why(text))
    try:
        moment = datetime.fromisoformat(text.upper())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise ValueError(_GIVE) from None


def _why(text: str) -> str:
    """What a time lacks that is nearly one."""
    if _FORM.fullmatch(f"{text}Z"):
        return f"A time needs Z or an offset at its end. {_GIVE}"
    if _FORM.fullmatch(_FINER.sub("", text)):
        return f"A second has at most six decimals. {_GIVE}"
    return _GIVE
