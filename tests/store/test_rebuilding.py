"""A running service goes on with rebuilds that a service began, and with no other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app import deadline
from app.rebuilding import Rebuilding, rebuild_of
from app.store import storage_of
from domain.errors import Unavailable
from projections.live import read_pointers
from projections.rebuild_state import LEASE, read_state
from tests.store.wishing import log_in, register

if TYPE_CHECKING:
    from app.store import Store
    from app.writer import Writer


def test_who_begins_or_cancels_one_is_refused_in_time_and_it_is_done_all_the_same(
    store: Store, writer: Writer, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Security rule 27: somebody else holds the lock of the log."""
    writer.commit([register("ada")])
    monkeypatch.setattr(deadline, "left", lambda _: 0.01)
    other = storage_of(database_url)

    async def ask() -> None:
        rebuilding = Rebuilding(store.storage, owned=False)
        with other.transaction():
            with pytest.raises(Unavailable):
                await rebuilding.start("token_lookup", accept=False)
            with pytest.raises(Unavailable):
                await rebuilding.cancel("user_directory")
        assert rebuilding._beginning is not None
        await rebuilding._beginning
        assert rebuilding._running is not None
        await rebuilding.close()

    try:
        asyncio.run(ask())
    finally:
        other.close()


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize("over", [True, False])
def test_only_what_a_service_began_is_gone_on_with(
    store: Store, writer: Writer, served: bool, over: bool
) -> None:
    """And only when nobody is at it; what a person began at a terminal, a person goes on with."""
    writer.commit([register("ada"), log_in("ada", "a")])
    begun = rebuild_of(store.storage, served=served).begin("token_lookup")
    with store.storage.transaction() as rows:
        rows.execute("UPDATE rebuilds SET lease_until = lease_until - ?", (over * LEASE,))
        rows.commit()

    async def serve() -> None:
        rebuilding = Rebuilding(store.storage, owned=False)
        await rebuilding.tend()
        await rebuilding.close()

    asyncio.run(serve())
    with store.storage.snapshot() as found:
        state, live = read_state(found), read_pointers(found)["token_lookup"]
    taken = live.build == begun.build or (state is not None and state.holder != begun.holder)
    assert taken == (served and over)
