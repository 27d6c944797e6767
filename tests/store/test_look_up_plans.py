"""A look-up on PostgreSQL reads rows by their keys, whatever was there when its plan was made."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from app.lookup import PostgresLookup
from tests.store.wishing import log_in, register

if TYPE_CHECKING:
    from app.store import Store
    from projections.storage import Row
    from tests.store.conftest import MakeWriter, OpenStore

PEOPLE: Final = 1_000
AT_ONCE: Final = 30
SCANNED: Final = """
SELECT relname::text, seq_tup_read FROM pg_stat_user_tables
WHERE relname IN ('token_lookup_v1', 'user_directory_v1', 'user_keys') ORDER BY relname"""


def scanned(store: Store) -> list[Row]:
    with store.storage.snapshot() as rows:
        return rows.fetch(SCANNED)


async def look_up(lookup: PostgresLookup, sessions: list[str]) -> int:
    """All at once; how many there are."""
    return sum(each is not None for each in await asyncio.gather(*map(lookup.session, sessions)))


def test_a_plan_that_was_made_in_an_empty_store_reads_no_whole_table(
    postgres_url: str, opened: OpenStore, make_writer: MakeWriter
) -> None:
    store = opened(postgres_url)
    writer = make_writer(store)

    async def scenario() -> None:
        lookup = PostgresLookup(postgres_url)
        assert await look_up(lookup, [f"nobody {each}" for each in range(AT_ONCE)]) == 0
        for first in range(0, PEOPLE, 50):
            names = [f"u{each}" for each in range(first, first + 50)]
            writer.commit(list(map(register, names)))
            writer.commit([log_in(name, name) for name in names])
        with store.storage.snapshot() as rows:
            found = rows.fetch("SELECT session_id FROM token_lookup_v1 ORDER BY session_id")
        sessions = [str(session_id) for (session_id,) in found]
        before = scanned(store)
        for first in range(0, 10 * AT_ONCE, AT_ONCE):
            assert await look_up(lookup, sessions[first : first + AT_ONCE]) == AT_ONCE
        assert await look_up(lookup, sessions[:1]) == 1
        await lookup.close()
        with store.storage.transaction() as rows:
            rows.fetch("SELECT pg_stat_force_next_flush()")
        assert scanned(store) == before

    asyncio.run(scenario())
