"""Times as they are written outside: RFC 3339, UTC, six decimals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.timestamps import parse_rfc3339, rfc3339

MOMENT = 1_795_453_712_000_000


@given(st.integers(0, 2**52))
def test_a_time_comes_back(micros: int) -> None:
    text = rfc3339(micros)
    assert parse_rfc3339(text) == micros
    assert len(text) == len("2026-11-23T17:08:32.000000Z")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T17:08:32Z",
        "2026-11-23T17:08:32.0Z",
        "2026-11-23t17:08:32z",
        "2026-11-23T18:08:32+01:00",
        "2026-11-23T11:38:32-05:30",
    ],
)
def test_an_offset_is_taken_into_account(text: str) -> None:
    assert parse_rfc3339(text) == MOMENT


def test_a_bare_date_is_its_first_moment() -> None:
    assert rfc3339(parse_rfc3339("2026-11-23")) == "2026-11-23T00:00:00.000000Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-W47-1",
        "20261123",
        "2026-11-23 17:08:32Z",
        "2026-11-23T17:08:32",
        "2026-13-01",
    ],
)
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_rfc3339(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-11-26T08:08:22", "needs Z or an offset"),
        ("2026-11-26T08:08:22.1234567Z", "at most six decimals"),
        ("2026-13-26", "Give a time such as"),
        ("yesterday", "Give a time such as"),
    ],
)
def test_a_time_that_is_refused_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_rfc3339(text)
