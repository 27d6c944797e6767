"""The log under a running writer becomes another: restored, or served by what is behind.

A copy of the store stands for what was restored, and takes the place of the store while the writer
is at rest; nothing tells it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app.store import storage_of
from domain.errors import InvalidToken
from tests.store.chain import verify_chain
from tests.store.replacing import beside, copy, remove
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
    """The URL of the copy."""
    url = beside(database_url, tmp_path, "copied")
    yield url
    remove(url)


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
    if store.storage.kind == "postgresql":
        store.storage.close()  # to be opened again by the next use
    copy(database_url, copied)
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
