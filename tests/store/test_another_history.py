"""The log under a running writer becomes another: restored, or served by what is behind.

A copy of the store stands for what was restored, and takes the place of the store while the writer
is at rest; nothing tells it.
"""

from __future__ import annotations

import secrets
import sqlite3
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from app.store import storage_of
from domain.errors import InvalidToken
from tests.store.chain import verify_chain
from tests.store.intruding import SQLITE
from tests.store.wishing import log_in, register, rotate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from structlog.typing import EventDict

    from app.store import Store
    from projections.storage import Storage
    from tests.store.conftest import MakeWriter, OpenStore


class Address:
    """A storage that may come to be another one; everything else is that one's."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self.storage, name)


@pytest.fixture
def copied(database_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of what `copy_to` makes."""
    if database_url.startswith(SQLITE):
        yield f"{SQLITE}{tmp_path}/copied.db"
        return
    url = urlunsplit(urlsplit(database_url)._replace(path=f"/copied_{secrets.token_hex(8)}"))
    yield url
    _run(database_url, f"DROP DATABASE {_name(url)}")


def copy_to(copied: str, store: Store, url: str) -> None:
    """All of a store that nobody uses."""
    if url.startswith(SQLITE):
        source = sqlite3.connect(url.removeprefix(SQLITE))
        target = sqlite3.connect(copied.removeprefix(SQLITE))
        source.backup(target)
        source.close()
        target.close()
        return
    store.storage.close()  # to be opened again by the next use
    _run(url, f"CREATE DATABASE {_name(copied)} TEMPLATE {_name(url)}")


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _run(url: str, sql: str) -> None:
    anywhere = urlunsplit(urlsplit(url)._replace(path="/postgres"))
    with psycopg.connect(anywhere, autocommit=True) as connection:
        connection.execute(sql.encode())


@pytest.mark.parametrize("later", [0, 9])
def test_what_is_remembered_of_a_log_that_was_replaced_decides_nothing(
    later: int,
    database_url: str,
    copied: str,
    opened: OpenStore,
    make_writer: MakeWriter,
    log_lines: list[EventDict],
) -> None:
    """`later` commands came to the copy before: its log may be longer than what was known."""
    address = Address(storage_of(database_url))
    store = opened(storage=address)  # type: ignore[arg-type]
    writer = make_writer(store)
    writer.commit([register("ada"), log_in("ada", "kept")])
    copy_to(copied, store, database_url)
    writer.commit([rotate("ada", "kept"), log_in("ada", "lost"), register("bob")])
    if later:
        another = opened(copied)
        make_writer(another).commit([log_in("ada", f"later {each}") for each in range(later)])
    address.storage.close()
    address.storage = storage_of(copied)

    of_lost, kept, new = writer.commit(
        [rotate("ada", "lost"), rotate("ada", "kept"), log_in("ada", "new")]
    )

    assert isinstance(of_lost, InvalidToken)
    assert not isinstance(kept, Exception)
    assert not isinstance(new, Exception)
    (nobody,) = writer.commit([log_in("bob", "first")])
    assert isinstance(nobody, Exception)
    (again,) = writer.commit([register("bob")])
    assert not isinstance(again, Exception)
    with store.storage.snapshot() as rows:
        verify_chain(rows, store.ring.log)
    assert [line["event"] for line in log_lines].count("log_replaced") == 1


def test_a_log_that_others_went_on_with_is_the_same(
    opened: OpenStore, store: Store, make_writer: MakeWriter, log_lines: list[EventDict]
) -> None:
    writer, other = make_writer(store), make_writer(opened())
    writer.commit([register("ada")])
    for each in range(3):
        other.commit([log_in("ada", f"other {each}")])
        writer.commit([log_in("ada", f"here {each}")])
    assert "log_replaced" not in [line["event"] for line in log_lines]
