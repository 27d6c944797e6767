"""What one statement writes together."""

from __future__ import annotations

import pytest

from projections.storage import pieces


@pytest.mark.parametrize(
    ("many", "sizes"), [(0, []), (1, [1]), (3, [2, 1]), (64, [64]), (200, [64, 64, 64, 8])]
)
def test_pieces_are_powers_of_two_and_leave_nothing_out(many: int, sizes: list[int]) -> None:
    found = list(pieces(list(range(many))))
    assert [len(each) for each in found] == sizes
    assert [each for piece in found for each in piece] == list(range(many))
