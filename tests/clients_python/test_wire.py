"""What answers mean, whatever is in them: bodies that are none, times, addresses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from gatebook_client.wire import LONGEST_RETRY_AFTER, retry_after


def test_a_moment_to_come_again_is_counted_by_the_clock_that_said_it() -> None:
    there = datetime.now(UTC) + timedelta(hours=1)
    told = {"date": format_datetime(there, usegmt=True)}
    told["retry-after"] = format_datetime(there + timedelta(seconds=2), usegmt=True)
    assert retry_after(told) == 2.0
    assert retry_after({"retry-after": format_datetime(there - timedelta(hours=2), True)}) == 0.0


def test_a_time_to_come_again_has_an_end() -> None:
    assert retry_after({"retry-after": "2"}) == 2.0
    for told in ("99999999999999", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"):
        assert retry_after({"retry-after": told}) == LONGEST_RETRY_AFTER
