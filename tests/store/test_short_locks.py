"""However much is written while a rebuild compares, little is folded under the append lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from app.eventstore.log import read_head
from projections.live import read_pointers
from projections.rebuild import Swapped
from projections.registry import PROJECTIONS
from tests.store.rebuilds import Locked, Measured, rebuild_of, rebuilt, view
from tests.store.wishing import commit, log_in, session_id

if TYPE_CHECKING:
    from app.store import Store
    from app.writer import Writer
    from projections.rebuild_state import State
    from projections.storage import Rows

SPAN: Final = 7
MANY: Final = 30
"""Logins, two events each."""


@pytest.mark.parametrize("name", [each.name for each in PROJECTIONS])
@pytest.mark.parametrize("busy_on", [False, True])
def test_what_was_written_during_the_comparison_is_folded_before_the_swap_s_lock(
    busy: Store, writer: Writer, name: str, *, busy_on: bool
) -> None:
    """All but a portion of it, also where others go on writing."""
    compared, further = 0, 0

    def meanwhile(rows: Rows) -> None:
        nonlocal compared
        compared = read_head(rows).position
        commit(writer, [log_in("bob", f"meanwhile {each}") for each in range(MANY)])

    def told(_: State, __: int) -> None:
        nonlocal further
        if compared and busy_on:
            commit(writer, [log_in("ada", f"further {further}")])
            further += 1

    locked = Locked(busy.storage, meanwhile)
    rebuild = rebuild_of(busy, storage=locked, feed=Measured(locked), told=told, span=SPAN)
    outcome = rebuild.run(rebuild.begin(name))
    assert isinstance(outcome, Swapped)
    assert outcome.differed == []
    assert outcome.position == compared > 0
    assert sum(locked.read) <= SPAN
    with busy.storage.snapshot() as rows:
        kept = rows.fetch("SELECT digest, digest_position FROM views WHERE name = ?", (name,))
        assert read_pointers(rows)[name].position == read_head(rows).position >= compared + MANY
    assert kept == [(outcome.digest, compared)]
    assert bool(further) == busy_on
    again = rebuilt(busy, name)
    assert isinstance(again, Swapped)
    assert again.differed == []
    if name == "token_lookup":
        assert {session_id("bob", f"meanwhile {each}") for each in range(MANY)} <= {
            row[0] for row in view(busy, name)
        }


def test_a_view_that_is_far_behind_is_brought_near_in_portions(busy: Store, writer: Writer) -> None:
    """Nobody serves the store, so nobody followed."""
    commit(writer, [log_in("bob", f"later {each}") for each in range(MANY)])
    locked = Locked(busy.storage, lambda _: None)
    rebuild = rebuild_of(busy, storage=locked, feed=Measured(locked), span=SPAN)
    outcome = rebuild.run(rebuild.begin("daily_activity"))
    assert isinstance(outcome, Swapped)
    assert outcome.differed == []
    assert sum(locked.read) == 2 * MANY
    assert max(locked.read) <= SPAN
