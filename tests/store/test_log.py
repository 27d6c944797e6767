"""The log: dense positions in commit order, times that never go back, rows that never change."""

from __future__ import annotations

import fcntl
import os
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any, cast

import msgspec
import psycopg
import pytest

from app.eventstore.log import read_newer, read_range, read_stream
from app.eventstore.record import Record, record_of
from app.store import open_store
from domain.errors import Damage
from domain.events import UserDisabled
from domain.stream import SYSTEM, Meta, Recorded
from projections import storage_postgres, storage_sqlite
from projections.live import read_live
from projections.registry import PROJECTIONS
from projections.storage import Lost, Refused
from projections.storage_sqlite import SqliteStorage
from tests.store import processes
from tests.store.chain import verify_chain
from tests.store.intruding import unseal
from tests.store.wishing import log_in, register, user_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from app.store import Store
    from app.vault import Vault
    from app.writer import Writer
    from projections.storage import Row, Rows, Transaction, Value
    from tests.store.conftest import MakeWriter, OpenStore

ALL = 10**6
HOUR = 3_600_000_000


def records(store: Store) -> list[Record]:
    with store.storage.snapshot() as rows:
        return read_range(rows, 0, ALL)


def test_many_threads_and_processes_write_one_dense_log(
    store: Store, writer: Writer, database_url: str
) -> None:
    writer.commit([register("hot")])
    before = len(records(store))
    with ThreadPoolExecutor(4) as pool:
        threads = [pool.submit(processes.write, database_url, f"thread{n}") for n in range(3)]
        told = processes.gather(
            processes.write_much, [(database_url, f"process{n}") for n in range(2)]
        )
        told += [each.result() for each in threads]
    found = records(store)
    assert len(found) == before + sum(told)
    assert [each.position for each in found] == list(range(1, len(found) + 1))
    hot = [each for each in found if each.stream == user_key("hot")]
    assert [each.version for each in hot] == list(range(1, len(hot) + 1))
    assert all(one.time <= next_.time for one, next_ in pairwise(found))
    with store.storage.snapshot() as rows:
        assert verify_chain(rows, store.ring.log, page=7) == len(found)


def test_nobody_commits_while_another_appends(
    store: Store, writer: Writer, opened: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_sqlite, "LOCK_DEADLINE", 0.05)
    monkeypatch.setattr(
        storage_postgres, "SESSION", storage_postgres.SESSION.replace("=5000", "=50", 1)
    )
    other = opened()
    writer.commit([register("ada")])
    with store.log.append(), pytest.raises(Lost), other.log.append():
        pass
    with other.log.append() as append:
        assert append.head.position == len(records(store))


def test_a_lock_file_guards_every_write_and_every_checkpoint(
    tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_sqlite, "LOCK_DEADLINE", 0.05)
    storage = SqliteStorage(tmp_path / "gatebook.db")
    store = open_store(storage, vault, "ES256")
    held = os.open(tmp_path / "gatebook.db.lock", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert len(records(store)) == 3  # reading needs no lock
    for act in (storage.transaction().__enter__, storage.discard, storage.close):
        with pytest.raises(Lost, match="another process"):
            act()
    assert (tmp_path / "gatebook.db-wal").stat().st_size
    os.close(held)
    storage.close()
    assert not (tmp_path / "gatebook.db-wal").exists()


def test_without_the_lock_a_reader_of_the_log_misses_events(postgres_url: str) -> None:
    """Security rule 30: the control of dense positions in commit order."""
    first, second = (psycopg.connect(postgres_url) for _ in range(2))
    with first, second:
        first.execute("CREATE TABLE unlocked (position BIGSERIAL PRIMARY KEY, of TEXT)")
        first.commit()
        first.execute("INSERT INTO unlocked (of) VALUES ('slow')")
        second.execute("INSERT INTO unlocked (of) VALUES ('quick')")
        second.commit()
        read = second.execute("SELECT position, of FROM unlocked").fetchall()
        first.commit()
        after = "SELECT of FROM unlocked WHERE position > %s"
        assert read == [(2, "quick")]
        assert second.execute(after, (2,)).fetchall() == []
    first.close()
    second.close()


def test_times_never_go_back_when_the_clock_does(
    tmp_path: Path, vault: Vault, make_writer: MakeWriter
) -> None:
    backwards = count(2_000_000_000, -1)
    storage = SqliteStorage(tmp_path / "gatebook.db", clock=lambda: float(next(backwards)))
    store = open_store(storage, vault, "ES256")
    writer = make_writer(store)
    for each in range(3):
        writer.commit([register(f"a{each}"), register(f"b{each}")])
    times = [each.time for each in records(store)]
    assert times[2:] == [times[2] + step for step in range(7)]
    storage.close()


def test_times_go_on_after_an_event_from_a_fast_clock(store: Store, writer: Writer) -> None:
    with store.log.append() as append:
        ahead = append.now() + HOUR
        position = append.head.position + 1
        event = Recorded(user_key("x"), 1, position, ahead, Meta(SYSTEM, "0"), UserDisabled())
        append.write([record_of(event)])
        read_live(append.rows, PROJECTIONS).apply(append.rows, [event])
        append.rows.commit()
    writer.commit([register("ada"), register("bob")])
    assert [each.time for each in records(store)[-3:]] == [ahead, ahead + 1, ahead + 2]


def test_a_changed_event_is_found(store: Store, writer: Writer) -> None:
    writer.commit([register("ada"), register("bob"), log_in("ada", "a")])
    place = 5
    changes: dict[str, Value] = {
        "position": 99,
        "stream": user_key("eve"),
        "version": 7,
        "topic": "user.enabled",
        "schema": 2,
        "time": 1,
        "clear": b"{}",
        "sealed": None,
        "chain": bytes(32),
    }
    assert [*changes][:-1] == [*Record._fields]
    for column, value in changes.items():
        with store.storage.transaction() as rows:
            unseal(rows, store.storage.kind)
            rows.execute(f"UPDATE events SET {column} = ? WHERE position = ?", (value, place))
            with pytest.raises(Damage, match=r"position [56]\b"):
                verify_chain(rows, store.ring.log)
    with store.storage.snapshot() as found:
        assert verify_chain(found, store.ring.log) == place + 2


def test_a_value_of_another_type_is_found(tmp_path: Path, vault: Vault) -> None:
    store = open_store(SqliteStorage(tmp_path / "gatebook.db"), vault, "ES256")
    for column in ("time", "schema", "clear"):
        with store.storage.transaction() as rows:
            unseal(rows, "sqlite")
            rows.execute(f"UPDATE events SET {column} = 'text' WHERE position = 2")
            with pytest.raises(Damage, match="position 2 was changed"):
                verify_chain(rows, store.ring.log)
    store.storage.close()


def _remove(rows: Transaction) -> None:
    rows.execute("DELETE FROM events WHERE position = 4")


def _remove_and_close_the_gap(rows: Transaction) -> None:
    rows.execute("DELETE FROM events WHERE position = 4")
    rows.execute("UPDATE events SET position = 4 WHERE position = 5")


def _swap(rows: Transaction) -> None:
    for old, new in ((4, 99), (5, 4), (99, 5)):
        rows.execute("UPDATE events SET position = ? WHERE position = ?", (new, old))


def _append(rows: Transaction) -> None:
    rows.execute(
        "INSERT INTO events SELECT 6, 'uk_new', 1, topic, schema, time, clear, sealed, chain "
        "FROM events WHERE position = 5"
    )


@pytest.mark.parametrize("act", [_remove, _remove_and_close_the_gap, _swap, _append])
def test_a_removed_moved_or_added_event_is_found(
    store: Store, writer: Writer, act: Callable[[Transaction], None]
) -> None:
    writer.commit([register("ada"), register("bob")])
    assert len(records(store)) == 5
    with store.storage.transaction() as rows:
        unseal(rows, store.storage.kind)
        act(rows)
        with pytest.raises(Damage):
            verify_chain(rows, store.ring.log)


def test_another_key_doesn_t_verify(store: Store) -> None:
    with store.storage.snapshot() as rows, pytest.raises(Damage, match="position 1 "):
        verify_chain(rows, bytes(32))


_COPY = "SELECT position, stream, version, 'forged', schema, time, clear, sealed, chain FROM events"
_NEXT = _COPY.replace("position", "position + 1", 1)
_UPSERT = "ON CONFLICT (position) DO UPDATE SET topic = 'forged'"
FORBIDDEN = {
    "sqlite": [
        "UPDATE events SET time = time",
        "UPDATE events SET clear = x'00' WHERE position = 2",
        "DELETE FROM events",
        "DELETE FROM events WHERE position = 3",
        f"INSERT OR REPLACE INTO events {_COPY} WHERE position = 2",
        f"REPLACE INTO events {_COPY} WHERE position = 3",
        f"INSERT INTO events {_COPY} WHERE position = 2 {_UPSERT}",
        f"INSERT INTO events {_COPY.replace('position', 'position + 5', 1)} WHERE position = 3",
        f"INSERT INTO events {_COPY.replace('position', 'position + 1', 1)} WHERE position = 3",
        f"INSERT INTO events {_COPY.replace('position', 'NULL', 1)} WHERE position = 3",
        f"INSERT INTO events {_NEXT.replace('version', 'version + 2')} WHERE position = 3",
        f"INSERT INTO events {_NEXT.replace('version', '0')} WHERE position = 3",
        f"INSERT INTO events {_NEXT.replace('stream, version', '7, 2')} WHERE position = 3",
    ],
    "postgresql": [
        "UPDATE events SET time = time",
        "UPDATE events SET clear = '\\x00' WHERE position = 2",
        "DELETE FROM events",
        "DELETE FROM events WHERE position = 3",
        "TRUNCATE events",
        "TRUNCATE events CASCADE",
        f"INSERT INTO events {_COPY} WHERE position = 2 {_UPSERT}",
        f"INSERT INTO events {_COPY} WHERE position = 2",
        "MERGE INTO events e USING (VALUES (2)) v(p) ON e.position = v.p WHEN MATCHED THEN DELETE",
    ],
}


def test_the_database_itself_refuses_to_change_or_remove_events(store: Store) -> None:
    before = records(store)
    assert len(before) == 3
    for statement in FORBIDDEN[store.storage.kind]:
        with store.storage.transaction() as rows, pytest.raises(Refused):  # noqa: PT012 - sent by fetch
            rows.execute(statement)
            rows.fetch("SELECT 1")
    assert records(store) == before


def test_a_stream_reads_back_as_it_was_answered(store: Store, writer: Writer) -> None:
    answers = writer.commit([register("ada"), log_in("ada", "a")])
    told = [each for answer in answers if not isinstance(answer, Exception) for each in answer]
    with store.storage.snapshot() as rows:
        found = [each.recorded() for each in read_stream(rows, user_key("ada"))]
    assert found == told
    assert msgspec.structs.replace(found[0], version=2) != told[0]


class Explaining:
    """Rows that tell how the store would read, and read nothing."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.kind = rows.kind
        self.plan: list[str] = []

    def fetch(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        how = "EXPLAIN QUERY PLAN" if self.kind == "sqlite" else "EXPLAIN"
        found = self._rows.fetch(f"{how} {sql}", params)
        self.plan += [str(row[-1]) for row in found]
        return []


BY_STREAM = {"sqlite": r"SEARCH e USING INDEX", "postgresql": r"Index Scan .*stream_version"}
WHOLE = {"sqlite": r"SCAN e\b", "postgresql": r"Seq Scan on events"}


@pytest.mark.parametrize("streams", [1, 32, 64, 128, 2048])
def test_what_is_newer_of_many_streams_is_found_without_reading_all_of_the_log(
    store: Store, writer: Writer, streams: int
) -> None:
    """Of a log long enough for a planner to think of it."""
    for number in range(8):
        writer.commit([register(f"p{number}-{each}") for each in range(64)])
    with store.storage.transaction() as rows:
        rows.analyze(["events"])
        rows.commit()
    with store.storage.snapshot() as snapshot:
        explaining = cast("Any", Explaining(snapshot))
        read_newer(explaining, {user_key(f"p0-{number}"): 1 for number in range(streams)})
        by_stream, whole = BY_STREAM[store.storage.kind], WHOLE[store.storage.kind]
        assert any(re.search(by_stream, step) for step in explaining.plan), explaining.plan
        assert not any(re.search(whole, step) for step in explaining.plan), explaining.plan
        read_all = cast("Any", Explaining(snapshot))
        read_all.fetch("SELECT e.clear FROM events e ORDER BY e.time")
        assert any(re.search(whole, step) for step in read_all.plan), read_all.plan
