"""Places in lists and in the log: what is one, and what isn't."""

from __future__ import annotations

import pytest

from app.eventstore.log import Head
from app.log_place import log_place, position_of
from app.paging import DEFAULT_LIMIT, MAX_LIMIT, Part, wrong_place
from domain.errors import Fault, InvalidRequest, LogChanged

LOG = "0aZ3kP9vQ2mX7cR5tY1bNw"
HEAD = Head(1, LOG, 7, 0, b"")


@pytest.mark.parametrize("position", [0, 1, 7])
def test_a_place_in_the_log_leads_back_to_its_position(position: int) -> None:
    assert position_of(log_place(LOG, position), HEAD) == position


@pytest.mark.parametrize("place", [log_place(LOG, 8), log_place(LOG[::-1], 1), f"{LOG}:{10**17}"])
def test_a_place_of_another_log_or_beyond_the_head_is_a_conflict(place: str) -> None:
    with pytest.raises(LogChanged):
        position_of(place, HEAD)


@pytest.mark.parametrize(
    "place",
    ["", "7", ":7", LOG, f"{LOG}:", f"{LOG}:-1", f"{LOG}:+1", f"{LOG}:7 ", f" {LOG}:7",
     f"{LOG}:7\n", f"{LOG}7:7", f"{LOG[:21]}:7", f"{LOG}:{'1' * 19}", f"{LOG}:\u0667",
     f"{LOG[:21]}\uff21:7"],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_place_is_refused(place: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        position_of(place, HEAD)
    (fault,) = caught.value.faults
    assert fault.pointer == "/after"
    assert "LOG_ID:POSITION" in fault.detail


def test_a_part_is_the_first_hundred_unless_said_otherwise() -> None:
    assert Part() == Part(DEFAULT_LIMIT, None, "asc")
    assert (DEFAULT_LIMIT, MAX_LIMIT) == (100, 1000)


def test_a_made_up_place_is_named_by_its_parameter() -> None:
    assert wrong_place().faults == (Fault("/after", "There is no such place in this list."),)
