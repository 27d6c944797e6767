"""What holds for every view and every history: how it is cut, and where it is kept, is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from projections.registry import PROJECTIONS
from tests.projections.conftest import empty_views
from tests.projections.history import fill, histories, whole

if TYPE_CHECKING:
    from domain.stream import Recorded
    from projections.storage import Row, Storage

once_made = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""The storage is the test's, not the example's: each example is rolled back."""


def filled(storage: Storage, history: list[Recorded], size: int = 0) -> dict[str, list[Row]]:
    """Every view of a history, applied in batches of a size."""
    with empty_views(storage) as rows:
        for projection in PROJECTIONS:
            fill(rows, projection, history, size)
        return {projection.name: whole(rows, projection.name) for projection in PROJECTIONS}


@once_made
@given(histories(), st.integers(1, 12))
@example([], 1)
def test_one_by_one_is_the_same_as_in_batches(
    sqlite_storage: Storage, history: list[Recorded], size: int
) -> None:
    one_by_one = filled(sqlite_storage, history, 1)
    assert filled(sqlite_storage, history, size) == one_by_one
    assert filled(sqlite_storage, history) == one_by_one


@once_made
@given(histories(), st.integers(1, 12))
def test_both_kinds_of_storage_hold_the_same_bytes(
    sqlite_storage: Storage, postgres_storage: Storage, history: list[Recorded], size: int
) -> None:
    here = filled(sqlite_storage, history, size)
    there = filled(postgres_storage, history, size)
    assert here == there
    assert msgspec.msgpack.encode(here) == msgspec.msgpack.encode(there)
