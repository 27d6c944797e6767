"""Copies of a view, compared: the same digest on every storage, and each difference by its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from projections.comparison import Difference, differences, digest, tables_of
from projections.registry import PROJECTIONS
from projections.storage_scratch import scratch
from projections.token_lookup import TokenLookup
from projections.user_directory import UserDirectory
from tests.projections.conftest import empty_views
from tests.projections.history import fill, histories

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.events import Event
    from domain.stream import Recorded
    from projections.projection import Mode
    from projections.storage import Rows, Storage, Transaction

NAMES = ("a", "B", "ä", "Z", "_", "zz", "\U0001f511", "\uffef")


class Words:
    """A view of two tables, one with a key of two columns."""

    name = "words"
    version = 1
    mode: Mode = "follow"
    wants: frozenset[type[Event]] = frozenset()
    tables: tuple[str, ...] = (
        "CREATE TABLE words_v1 (word TEXT PRIMARY KEY, number BIGINT, blob BYTEA)",
        "CREATE INDEX words_v1_number ON words_v1 (number)",
        """
CREATE TABLE IF NOT EXISTS pairs_v1 (
  one TEXT NOT NULL,
  other BIGINT NOT NULL CHECK (other IN (1, 2, 3)),
  PRIMARY KEY (one, other)
)""",
    )

    def apply(self, rows: Rows, batch: Sequence[Recorded]) -> None:
        raise NotImplementedError


def made(rows: Transaction) -> None:
    for statement in Words.tables:
        rows.define(statement)


def put(rows: Rows, *words: tuple[str, int | None, bytes | None]) -> None:
    for row in words:
        rows.execute("INSERT INTO words_v1 VALUES (?, ?, ?)", row)


def found(live: Rows, fresh: Rows) -> list[Difference]:
    return list(differences(live, fresh, Words()))


def test_tables_are_read_from_their_definitions() -> None:
    words, pairs = tables_of(Words())
    assert (words.name, words.columns, words.key) == ("words_v1", ("word", "number", "blob"), (0,))
    assert (pairs.name, pairs.columns, pairs.key) == ("pairs_v1", ("one", "other"), (0, 1))
    for projection in PROJECTIONS:
        assert tables_of(projection)
    (sessions,) = tables_of(TokenLookup())
    assert sessions.columns[0] == "session_id"
    assert len(sessions.columns) == 13


def test_a_table_without_a_key_can_t_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Words, "tables", ("CREATE TABLE words_v1 (word TEXT)",))
    with pytest.raises(ValueError, match="words_v1 has no primary key"):
        tables_of(Words())


def test_a_digest_is_over_rows_in_the_order_of_bytes(rows: Transaction) -> None:
    made(rows)
    with scratch() as fresh:
        made(fresh)
        for each in (rows, fresh):
            put(each, *((name, 1, None) for name in NAMES))
        assert digest(rows, Words()) == digest(fresh, Words())
        assert found(rows, fresh) == []
        in_order = [row[0] for batch in rows.scan(tables_of(Words())[0].select) for row in batch]
    assert in_order == sorted(NAMES)


def test_each_difference_is_told_by_its_key(rows: Transaction) -> None:
    made(rows)
    with scratch() as fresh:
        made(fresh)
        put(rows, ("a", 1, b"x"), ("B", 2, None), ("c", 3, None), ("e", 5, None))
        put(fresh, ("a", 1, b"x"), ("B", 2, b""), ("c", None, b"y"), ("d", 4, None))
        fresh.execute("INSERT INTO pairs_v1 VALUES ('one', 2)")
        assert found(rows, fresh) == [
            Difference("words_v1", ("B",), "changed", ("blob",)),
            Difference("words_v1", ("c",), "changed", ("number", "blob")),
            Difference("words_v1", ("d",), "missing"),
            Difference("words_v1", ("e",), "extra"),
            Difference("pairs_v1", ("one", 2), "missing"),
        ]
        assert digest(rows, Words()) != digest(fresh, Words())


def test_a_column_may_hold_what_it_must_not() -> None:
    with scratch() as live, scratch() as fresh:
        made(live)
        made(fresh)
        live.execute("INSERT INTO words_v1 VALUES (NULL, 1, 'text'), (x'00', 1, NULL)")
        put(fresh, ("a", 1, None))
        assert [(each.key, each.how) for each in found(live, fresh)] == [
            ((None,), "extra"),
            (("a",), "missing"),
            ((b"\x00",), "extra"),
        ]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories())
def test_a_view_has_one_digest_on_every_storage(
    sqlite_storage: Storage, postgres_storage: Storage, history: list[Recorded]
) -> None:
    with (
        empty_views(sqlite_storage) as here,
        empty_views(postgres_storage) as there,
        scratch() as fresh,
    ):
        for projection in (UserDirectory(), TokenLookup()):
            for statement in projection.tables:
                fresh.define(statement)
            for each in (here, there, fresh):
                fill(each, projection, history)
            assert digest(here, projection) == digest(there, projection)
            assert digest(here, projection) == digest(fresh, projection)
            assert list(differences(there, fresh, projection)) == []
