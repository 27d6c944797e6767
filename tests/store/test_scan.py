"""Reading a result of any size, on each kind of store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from projections.storage import SCANNED, NoTable, Refused
from projections.storage_scratch import scratch

if TYPE_CHECKING:
    from app.store import Store

NUMBERS = """
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
SELECT n, 'text' FROM numbers"""


def test_rows_come_in_parts(store: Store) -> None:
    with store.storage.snapshot() as rows:
        parts = list(rows.scan(NUMBERS, (2 * SCANNED + 1,)))
        assert [len(part) for part in parts] == [SCANNED, SCANNED, 1]
        assert parts[2] == [(2 * SCANNED + 1, "text")]
        assert list(rows.scan(NUMBERS + " WHERE n < 0", (1,))) == []


def test_two_scans_go_side_by_side_and_one_may_be_left(store: Store) -> None:
    with store.storage.snapshot() as rows:
        one, other = (rows.scan(NUMBERS, (SCANNED + 1,)) for _ in range(2))
        assert len(next(one)) == len(next(other)) == SCANNED
        assert len(next(one)) == 1
        del one, other
        assert rows.fetch("SELECT count(*) FROM events") == [(3,)]


def test_what_can_t_be_read_is_told(store: Store) -> None:
    with (
        store.storage.snapshot() as rows,
        pytest.raises(NoTable, match="nowhere"),
    ):
        list(rows.scan("SELECT 1 FROM nowhere"))


def test_no_limit_of_time_ends_a_scan(postgres_url: str, opened) -> None:
    storage = opened(postgres_url).storage
    shown = "SELECT current_setting('statement_timeout'), "
    shown += "current_setting('idle_in_transaction_session_timeout')"
    with storage.snapshot() as rows:
        assert list(rows.scan(shown)) == [[("0", "0")]]
    with storage.snapshot() as rows:
        assert rows.fetch(shown) == [("5s", "5s")]


def test_text_that_is_none_is_read_all_the_same() -> None:
    with scratch() as rows:
        assert list(rows.scan("SELECT CAST(x'61FF62' AS TEXT)")) == [[("a\ufffdb",)]]
        with pytest.raises(Refused, match="decode"):
            rows.fetch("SELECT CAST(x'61FF62' AS TEXT)")
