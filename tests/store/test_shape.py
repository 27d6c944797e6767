"""What tables must be: what was dropped from one or added to it is found and named."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import pytest

from app.store import open_store, storage_of
from app.vault import Vault
from app.verifying.findings import Findings
from app.verifying.shape import check_shape
from app.verifying.store import verify_store
from projections.rebuild import Swapped
from projections.registry import PROJECTIONS
from tests.store.rebuilds import build_of, rebuilt
from tests.stores.kept import KEPT

if TYPE_CHECKING:
    from app.store import Store
    from projections.storage import Kind, Rows
    from tests.store.conftest import OpenStore
    from tests.stores.kept import Kept

COMMON: Final = (
    (
        "DROP INDEX user_directory_v1_administrators",
        (
            "user_directory_v1: Missing: index user_directory_v1_administrators (user_key) of some "
            "rows."
        ),
    ),
    (
        "DROP INDEX token_lookup_v1_by_end",
        "token_lookup_v1: Missing: index token_lookup_v1_by_end (user_key, ended_at, started_at).",
    ),
    (
        "ALTER TABLE events ADD COLUMN note TEXT",
        "events: Too many: this release makes no column note text there.",
    ),
    (
        "ALTER TABLE revocations_v1 ADD COLUMN why BYTEA",
        "revocations_v1: Too many: this release makes no column why blob there.",
    ),
    (
        "CREATE UNIQUE INDEX only_one ON revocations_v1 (until)",
        "revocations_v1: Too many: this release makes no unique index only_one (until) there.",
    ),
    ("DROP TABLE known_networks", None),
    ("DROP TABLE user_ids", "user_ids: Missing: this table isn't there."),
)
"""What is done, and what is found; nothing, of a table that is made again with the next opening."""

CHANGES: Final[dict[Kind, tuple[tuple[str, str | None], ...]]] = {
    "sqlite": COMMON,
    "postgresql": (
        *COMMON,
        (
            "ALTER TABLE user_ids DROP CONSTRAINT user_ids_pkey",
            "user_ids: Missing: primary key (name_mac).",
        ),
        (
            "ALTER TABLE user_ids DROP CONSTRAINT user_ids_user_key_key",
            "user_ids: Missing: unique (user_key).",
        ),
        (
            "ALTER TABLE events DROP CONSTRAINT events_stream_version_key",
            "events: Missing: unique (stream, version).",
        ),
        (
            "ALTER TABLE events DROP CONSTRAINT events_pkey",
            "events: Missing: primary key (position).",
        ),
        (
            "ALTER TABLE store DROP CONSTRAINT store_one_check",
            "store: Missing: constraint one = 1.",
        ),
        (
            "ALTER TABLE user_keys ADD CONSTRAINT none CHECK (version < 1)",
            "user_keys: Too many: this release makes no constraint version < 1 there.",
        ),
        (
            "ALTER TABLE budgets DROP CONSTRAINT budgets_pkey",
            "budgets: Missing: primary key (key).",
        ),
    ),
}


def shape(rows: Rows, kind: Kind) -> list[str]:
    found = Findings()
    check_shape(rows, kind, found)
    assert {each.table for each in found.told()} <= {"tables"}
    return [f"{each.key}: {each.detail}" for each in found.told()]


def shape_of(store: Store) -> list[str]:
    with store.storage.snapshot() as rows:
        return shape(rows, store.storage.kind)


def test_what_was_dropped_or_added_is_found(store: Store) -> None:
    for statement, expected in CHANGES[store.storage.kind]:
        with suppress(Undone), store.storage.transaction() as rows:
            rows.define(statement)
            assert shape(rows, store.storage.kind) == ([expected] if expected else [])
            raise Undone
    assert shape_of(store) == []


class Undone(Exception):
    """What was changed isn't to stay."""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            (
                "ALTER TABLE events DROP CONSTRAINT events_stream_version_key",
                (
                    "ALTER TABLE events ADD CONSTRAINT events_stream_version_key "
                    "UNIQUE (stream, version) DEFERRABLE INITIALLY DEFERRED"
                ),
            ),
            "unique (stream, version)",
        ),
        (
            (
                "ALTER TABLE user_ids DROP CONSTRAINT user_ids_pkey",
                "ALTER TABLE user_ids ADD PRIMARY KEY (name_mac, user_key)",
            ),
            "primary key (name_mac)",
        ),
        (
            ("UPDATE pg_index SET indisvalid = false WHERE indrelid = 'user_ids'::regclass",),
            "primary key (name_mac)",
        ),
    ],
)
def test_one_that_is_there_and_enforces_less_is_found(
    opened: OpenStore, postgres_url: str, changes: tuple[str, ...], expected: str
) -> None:
    store = opened(postgres_url)
    with store.storage.transaction() as rows:
        for change in changes:
            rows.define(change)
        found = shape(rows, "postgresql")
    assert any(each.endswith(f": Missing: {expected}.") for each in found)
    assert any(": Too many: " in each for each in found)


def test_a_table_that_was_made_anew_without_its_keys_is_found(
    opened: OpenStore, sqlite_url: str
) -> None:
    store = opened(sqlite_url)
    with store.storage.transaction() as rows:
        rows.define("DROP TABLE user_ids")
        rows.define("CREATE TABLE user_ids (name_mac BYTEA NOT NULL, user_key TEXT NOT NULL)")
        assert shape(rows, "sqlite") == [
            "user_ids: Missing: primary key (name_mac).",
            "user_ids: Missing: unique (user_key).",
        ]


def test_a_view_that_was_rebuilt_is_looked_at_under_its_name(store: Store) -> None:
    for projection in PROJECTIONS:
        assert isinstance(rebuilt(store, projection.name), Swapped)
    assert build_of(store, "token_lookup") == 1
    assert shape_of(store) == []
    with store.storage.transaction() as rows:
        rows.define("DROP INDEX token_lookup_r1_v1_by_end")
        assert shape(rows, store.storage.kind) == [
            (
                "token_lookup_r1_v1: Missing: index token_lookup_r1_v1_by_end "
                "(user_key, ended_at, started_at)."
            )
        ]


def test_a_dropped_constraint_is_a_finding_of_the_whole_store(store: Store) -> None:
    with store.storage.transaction() as rows:
        rows.define("DROP INDEX revocations_v1_until")
        rows.commit()
    with store.storage.snapshot() as rows:
        report = verify_store(rows, store.vault, None, lambda _: None, store.storage.kind)
    assert [(each.table, each.key, each.detail) for each in report.findings] == [
        ("tables", "revocations_v1", "Missing: index revocations_v1_until (until).")
    ]


@pytest.mark.parametrize("kept", KEPT, ids=lambda each: f"{each.release}-{each.kind}")
def test_stores_of_earlier_releases_have_all_of_it_once_they_are_opened(
    kept: Kept, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("sqlite_url" if kept.kind == "sqlite" else "postgres_url")
    kept.copy_to(url)
    store = open_store(storage_of(url), Vault(kept.master_key), "ES256")
    assert shape_of(store) == []
    store.storage.close()
