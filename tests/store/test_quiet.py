"""What repeats writes nothing, and what is one change is one transaction.

Measured at the store itself: commits in SQLite's WAL, row versions in PostgreSQL.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.store import open_store
from domain.policy import DAY, Policy
from projections.storage_sqlite import SqliteStorage
from tests.store.intruding import intrude
from tests.store.wishing import end, log_in, permit, register, use, user_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.store import Store
    from app.vault import Vault
    from app.writer import Wish, Writer
    from tests.store.conftest import MakeWriter


def commits_in(wal: Path) -> int:
    """How many commits are in a WAL: frames that name the database's size after them."""
    content = wal.read_bytes()
    size = struct.unpack(">I", content[8:12])[0] + 24
    salts = content[16:24]
    frames = [content[at : at + 24] for at in range(32, len(content) - 23, size)]
    return sum(1 for frame in frames if frame[8:16] == salts and frame[4:8] != bytes(4))


@pytest.fixture
def changes(store: Store, database_url: str) -> Callable[[], list[object]]:
    """What the database itself says of how often it was changed."""

    def on_sqlite() -> list[object]:
        wal = Path(f"{database_url.removeprefix('sqlite:///')}-wal")
        return [commits_in(wal), wal.stat().st_size]

    def on_postgres() -> list[object]:
        with store.storage.transaction() as rows:
            # This connection keeps what it has counted for a while; told so, it passes it on.
            rows.fetch("SELECT pg_stat_force_next_flush()::text")
        with intrude(database_url) as intruder:
            return list(
                intruder.run(
                    "SELECT tup_inserted, tup_updated, tup_deleted FROM pg_stat_database "
                    "WHERE datname = current_database()"
                )[0]
            )

    return on_sqlite if store.storage.kind == "sqlite" else on_postgres


@pytest.fixture
def steady(writer: Writer) -> Writer:
    writer.commit([register("ada"), log_in("ada", "a"), permit("ada", "x")])
    writer.commit([use("ada", "a")])
    return writer


NOTHING = {
    "a use that was recorded": use("ada", "a"),
    "a use that is not due": use("ada", "a", "due"),
    "the end of a session that is over": end("ada", "never"),
    "the permissions that there are": permit("ada", "x"),
    "a login that is refused": log_in("ada", "b", secret_version=9),
    "a name that is taken": register("other", "ADA"),
}
SOMETHING = {
    "a use from elsewhere": use("ada", "a", "elsewhere"),
    "a login": log_in("ada", "b"),
}


@pytest.mark.parametrize("wish", NOTHING.values(), ids=NOTHING)
def test_what_is_so_already_writes_nothing(
    steady: Writer, changes: Callable[[], list[object]], wish: Wish
) -> None:
    before = changes()
    for _ in range(3):
        (answer,) = steady.commit([wish])
        assert answer == () or isinstance(answer, Exception)
    assert changes() == before


@pytest.mark.parametrize("wish", SOMETHING.values(), ids=SOMETHING)
def test_what_is_new_is_written(
    steady: Writer, changes: Callable[[], list[object]], wish: Wish
) -> None:
    before = changes()
    steady.commit([wish])
    assert changes() != before


def test_a_use_is_recorded_again_when_it_is_due(
    tmp_path: Path, vault: Vault, make_writer: MakeWriter
) -> None:
    now = [2_000_000_000.0]
    storage = SqliteStorage(tmp_path / "gatebook.db", clock=lambda: now[0])
    store = open_store(storage, vault, "ES256")
    writer = make_writer(store, Policy())
    writer.commit([register("ada"), log_in("ada", "a"), use("ada", "a")])
    counts = []
    for _ in range(5):
        now[0] += DAY * 13 / 24 / 1_000_000
        (answer,) = writer.commit([use("ada", "a", "due")])
        assert not isinstance(answer, Exception)
        counts.append(len(answer))
    assert counts == [0, 1, 0, 1, 0]
    storage.close()


def test_a_session_starts_in_one_transaction(store: Store, steady: Writer, sqlite_url: str) -> None:
    wishes = [log_in("ada", "b")]
    if store.storage.kind == "sqlite":
        wal = Path(f"{sqlite_url.removeprefix('sqlite:///')}-wal")
        before = commits_in(wal)
        steady.commit(wishes)
        assert commits_in(wal) == before + 1
        return
    steady.commit(wishes)
    with store.storage.snapshot() as rows:
        transactions = rows.fetch(
            "SELECT xmin::text FROM events WHERE position > "
            "(SELECT max(position) - 2 FROM events) UNION ALL "
            "SELECT xmin::text FROM token_lookup_v1 WHERE started_at = "
            "(SELECT max(time) FROM events) UNION ALL "
            "SELECT xmin::text FROM user_directory_v1 WHERE user_key = ? UNION ALL "
            "SELECT xmin::text FROM views WHERE position > 0",
            (user_key("ada"),),
        )
    assert len(transactions) == 2 + 1 + 1 + 3
    assert len(set(transactions)) == 1


def test_a_batch_is_one_transaction(store: Store, steady: Writer, sqlite_url: str) -> None:
    batch = [register("bob"), log_in("bob", "b"), log_in("ada", "c"), end("ada", "a")]
    if store.storage.kind == "sqlite":
        wal = Path(f"{sqlite_url.removeprefix('sqlite:///')}-wal")
        before = commits_in(wal)
        steady.commit(batch)
        assert commits_in(wal) == before + 1
        return
    steady.commit(batch)
    with store.storage.snapshot() as rows:
        found = rows.fetch("SELECT DISTINCT xmin::text FROM events WHERE position > 3 + 5")
    assert len(found) == 1
