"""What answers mean, whatever is in them: bodies that are none, times, addresses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from rich.pretty import pretty_repr

from gatebook_client.errors import ConfigurationError
from gatebook_client.operations import authenticate
from gatebook_client.service import Asked
from gatebook_client.wire import LONGEST_RETRY_AFTER, Answer, base_url, retry_after

SECRET = "a canary of tin"


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


@pytest.mark.parametrize(
    "held",
    [
        Answer(200, {"Set-Cookie": SECRET}, SECRET.encode()),
        Asked("POST", "/refresh", SECRET.encode(), headers={"Authorization": SECRET}),
        authenticate("uk_x", SECRET),
    ],
    ids=lambda held: type(held).__name__,
)
def test_what_is_asked_and_answered_does_not_show(held: object) -> None:
    """Security rule 19."""
    assert SECRET not in f"{held!r} {held} {pretty_repr(held)}"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://ada:canary@host",
        "https://ada:canary@host?x",
        "https://ada:canary@host",
        "http://ada:canary@[bad",
        "http://[bad",
        "https://ada:canary",
        "https://host:99999",
        "https://host?token=canary",
        "http://host/canary",
        "",
    ],
)
def test_an_address_that_is_refused_is_not_repeated(url: str) -> None:
    """Security rule 19: a password may be in it."""
    with pytest.raises(ConfigurationError) as raised:
        base_url(url)
    assert "canary" not in str(raised.value)
