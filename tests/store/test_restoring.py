"""A restore ends every session that nobody had ended, whatever any clock says of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from app.archive.importing import restore
from app.store import open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.errors import InvalidToken
from domain.policy import DAY, SECOND, Policy
from projections.storage_sqlite import SqliteStorage
from tests.prove.verified import look
from tests.store.archiving import back_up_to, place_of
from tests.store.conftest import MASTER
from tests.store.wishing import commit, log_in, register, use

if TYPE_CHECKING:
    from pathlib import Path

    from app.archive.restoring import Restored
    from app.store import Store
    from projections.storage import Storage
    from tests.store.conftest import MakeWriter, OpenStore

PEOPLE = ("ada", "ben")


def restored(storage: Storage, backup: Path) -> Restored:
    found = restore(place_of(storage), backup, (), lambda _: None).restored
    assert found is not None
    return found


def assert_ended(storage: Storage) -> None:
    """By the right clock too."""
    there = open_store(storage, Vault(MASTER), "ES256")
    with storage.snapshot() as rows:
        found = rows.fetch("SELECT ended_why, count(*) FROM token_lookup_v1 GROUP BY ended_why")
    assert found == [("restored", len(PEOPLE))]
    writer = Writer(there.log, there.vault, there.ring, Policy())
    for answer in writer.commit([use(each, "phone", "every") for each in PEOPLE]):
        assert isinstance(answer, InvalidToken)
        assert answer.reason == "revoked"
    assert look(there).findings == []
    storage.close()


@pytest.mark.parametrize("days", [-366, 0, 366])
def test_sessions_end_where_the_clock_is_wrong(
    store: Store, writer: Writer, tmp_path: Path, days: int
) -> None:
    commit(writer, [each for who in PEOPLE for each in (register(who), log_in(who, "phone"))])
    backup = back_up_to(tmp_path / "backup", store)
    file, wrong = tmp_path / "restored.db", days * DAY // SECOND
    with_wrong_clock = SqliteStorage(file, clock=lambda: time.time() + wrong)
    assert restored(with_wrong_clock, backup).sessions == len(PEOPLE)
    with_wrong_clock.close()
    assert_ended(SqliteStorage(file))


def test_sessions_that_seem_past_their_limit_end(
    opened: OpenStore, make_writer: MakeWriter, tmp_path: Path, sqlite_url: str, postgres_url: str
) -> None:
    store = opened(sqlite_url)
    writer = make_writer(store, Policy(session_max=1))
    commit(writer, [each for who in PEOPLE for each in (register(who), log_in(who, "phone"))])
    storage = storage_of(postgres_url)
    assert restored(storage, back_up_to(tmp_path / "backup", store)).sessions == len(PEOPLE)
    assert_ended(storage)
