"""Times as people and programs outside read them.

Inside they are µs since the epoch; outside RFC 3339, UTC, six decimals, `Z`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_FORM = re.compile(
    r"\d{4}-\d{2}-\d{2}([Tt]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2}))?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(micros: int) -> str:
    """`2026-11-23T17:08:32.000000Z` for µs since the epoch."""
    moment = _EPOCH + timedelta(microseconds=micros)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_rfc3339(text: str) -> int:
    """µs since the epoch of a time with `Z` or an offset, or of a bare date's first moment.

    Raises `ValueError` for anything else.
    """
    if not _FORM.fullmatch(text):
        msg = "a time is written as 2026-11-23T17:08:32Z, with Z or an offset, or as 2026-11-23"
        raise ValueError(msg)
    moment = datetime.fromisoformat(text.upper())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1)
