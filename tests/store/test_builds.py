"""The number of a view's last build is kept in the store, where somebody may have changed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from projections.rebuild import Gone, Swapped
from projections.rebuild_state import cancel
from projections.registry import PROJECTIONS
from tests.prove.verified import look
from tests.store.rebuilds import build_of, rebuild_of, rebuilt, view

if TYPE_CHECKING:
    from app.store import Store
    from projections.rebuild_state import State

NAMES = [each.name for each in PROJECTIONS]
BREACHES = ["DELETE FROM builds", "UPDATE builds SET last = 1", "UPDATE builds SET last = 0"]


def run(store: Store, sql: str) -> None:
    with store.storage.transaction() as rows:
        rows.execute(sql)
        rows.commit()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("breach", BREACHES)
def test_a_rebuild_never_fills_the_live_table(busy: Store, name: str, breach: str) -> None:
    before = view(busy, name)
    for _ in range(2):
        rebuilt(busy, name)
    run(busy, breach)
    outcome = rebuilt(busy, name)
    assert isinstance(outcome, Swapped)
    assert outcome.differed == []
    assert build_of(busy, name) == 3
    assert view(busy, name) == before
    assert look(busy).findings == []


def test_a_rebuild_begins_with_no_table_that_was_left(busy: Store) -> None:
    """It was cancelled, nobody dropped it, and nothing says what its number was."""

    def cancelled(state: State, _: int) -> None:
        cancel(busy.storage, state.name)

    left = rebuild_of(busy, "gone", told=cancelled, span=7)
    with pytest.raises(Gone):
        left.run(left.begin("daily_activity"))
    run(busy, BREACHES[0])
    before = view(busy, "daily_activity")
    outcome = rebuilt(busy, "daily_activity")
    assert isinstance(outcome, Swapped)
    assert outcome.differed == []
    assert build_of(busy, "daily_activity") == 2
    assert view(busy, "daily_activity") == before


@pytest.mark.parametrize("breach", BREACHES)
def test_a_last_build_below_a_live_one_is_found(busy: Store, breach: str) -> None:
    for name in ("token_lookup", "daily_activity", "daily_activity"):
        rebuilt(busy, name)
    assert look(busy).findings == []
    run(busy, breach)
    found = {(each.table, each.key): each.detail for each in look(busy).findings}
    last = 1 if breach == BREACHES[1] else 0
    too_low = ["daily_activity"] if last else ["daily_activity", "token_lookup"]
    assert sorted(found) == [("builds", name) for name in too_low]
    assert found["builds", "daily_activity"] == (
        f"The last build is said to be {last}, and 2 is live. "
        "Run: gatebook projections rebuild daily_activity"
    )
    for name in too_low:
        rebuilt(busy, name)
    assert look(busy).findings == []
