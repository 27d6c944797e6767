"""An open store of each kind, and writers on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest
from structlog.testing import capture_logs

from app.eventstore.feed import LogFeed
from app.store import Store, open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from projections.registry import PROJECTIONS
from projections.runner import Follower
from tests.store.wishing import end, log_in, register, use

if TYPE_CHECKING:
    from collections.abc import Iterator

    from structlog.typing import EventDict

    from projections.storage import Storage

MASTER = bytes(range(32))


class OpenStore(Protocol):
    """Opens a store once more, as another process would."""

    def __call__(self, url: str | None = None, storage: Storage | None = None) -> Store: ...


class MakeWriter(Protocol):
    """A writer on a store."""

    def __call__(self, store: Store, policy: Policy = ...) -> Writer: ...


@pytest.fixture(autouse=True)
def log_lines() -> Iterator[list[EventDict]]:
    """What is logged meanwhile."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def vault() -> Vault:
    return Vault(MASTER)


@pytest.fixture
def opened(database_url: str, vault: Vault) -> Iterator[OpenStore]:
    stores: list[Store] = []

    def open_one(url: str | None = None, storage: Storage | None = None) -> Store:
        stores.append(open_store(storage or storage_of(url or database_url), vault, "ES256"))
        return stores[-1]

    yield open_one
    for store in stores:
        store.storage.close()


@pytest.fixture
def store(opened: OpenStore) -> Store:
    return opened()


@pytest.fixture
def make_writer() -> MakeWriter:
    def make(store: Store, policy: Policy | None = None) -> Writer:
        return Writer(store.log, store.vault, store.ring, policy or Policy(), sleep=lambda _: None)

    return make


@pytest.fixture
def writer(store: Store, make_writer: MakeWriter) -> Writer:
    return make_writer(store)


@pytest.fixture
def busy(store: Store, writer: Writer) -> Store:
    """A store in which something has happened, and every view is at the head."""
    writer.commit([register("ada"), register("bob")])
    writer.commit([log_in("ada", str(number)) for number in range(20)])
    writer.commit([log_in("bob", "b"), use("ada", "3"), end("ada", "4")])
    Follower(store.storage, LogFeed(), PROJECTIONS).catch_up()
    return store
