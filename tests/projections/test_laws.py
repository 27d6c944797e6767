"""What holds for every view and every history.

How it is cut, and where it is kept, is the same; and what is looked up is what decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from domain.aggregate import USER
from domain.user import Session
from projections.registry import PROJECTIONS
from projections.token_lookup import TokenLookup
from tests.domain.histories import live_through, plans
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


SESSIONS = f"""
SELECT user_key, session_id, {", ".join(Session.__struct_fields__)}
FROM token_lookup_v1 WHERE ended_at IS NULL AND expires_at > ?"""
"""Those that haven't ended, within their absolute limit."""


def looked_up(storage: Storage, history: list[Recorded]) -> dict[tuple[str, str], Session]:
    """The sessions that a look-up finds after a history, by user and session."""
    with empty_views(storage) as rows:
        fill(rows, TokenLookup(), history)
        found = rows.fetch(SESSIONS, (history[-1].time if history else 0,))
    return {
        (str(user), str(session_id)): msgspec.convert(
            dict(zip(Session.__struct_fields__, values, strict=True)), Session, strict=False
        )
        for user, session_id, *values in found
    }


def folded(history: list[Recorded]) -> dict[tuple[str, str], Session]:
    """The sessions that the rules know after a history, by user and session."""
    return {
        (user, session_id): session
        for user in {each.stream for each in history}
        for session_id, session in USER.fold(
            each for each in history if each.stream == user
        ).sessions.items()
        if session.expires_at > history[-1].time
    }


@once_made
@given(st.one_of(histories(), plans.map(lambda plan: live_through(plan).recorded)))
def test_a_look_up_finds_what_the_rules_know_of_each_session(
    sqlite_storage: Storage, history: list[Recorded]
) -> None:
    assert looked_up(sqlite_storage, history) == folded(history)
