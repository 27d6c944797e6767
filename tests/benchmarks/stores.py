"""The stores that a service is measured on: a new SQLite file, and a PostgreSQL server of its own.

Knows nothing of what is asked of the service.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from app.store import SQLITE, storage_of
from tests.benchmarks.population import kept, opened
from tests.postgres import PostgresServer
from tests.store.archiving import export, moved

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOMY: Final = {"max_wal_size": "4GB", "shared_buffers": "256MB"}
"""For a PostgreSQL server to which large logs are moved."""


class Store(NamedTuple):
    """Where the service's is; `pid` is the process that all of a database server's are below."""

    name: str
    url: str
    pid: int | None = None


@contextmanager
def new_sqlite() -> Iterator[Store]:
    """A file that isn't there yet."""
    with tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory:
        yield Store("SQLite", f"{SQLITE}{directory}/gatebook.db")


@contextmanager
def new_postgresql(users: int | None = None) -> Iterator[Store]:
    """A database of a server on this machine: empty, or with as many people as a kept store."""
    with PostgresServer(settings=None if users is None else ROOMY) as server:
        [(version,)] = server.psql("SHOW server_version")
        url = server.create_database()
        if users is not None:
            move(users, url)
        yield Store(f"PostgreSQL {version}", url, server.pid)


def move(users: int, url: str) -> None:
    """Move the log and the keys of a kept store to a database: lives have days there, too."""
    with tempfile.TemporaryDirectory(prefix="gatebook-bench-") as directory:
        store = opened(f"{SQLITE}{kept(users)}")
        files = export(store, Path(directory))
        store.storage.close()
        moved(storage_of(url), files).storage.close()
