"""A store as a whole: made once, opened by every process, with its ring of keys.

Knows no HTTP and no command line. Making it, and adding what came later, is one transaction under
the append lock, so that any number of processes may start at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from app.additions import add_missing
from app.eventstore import schema
from app.eventstore.log import Append, EventLog, Head, read_head
from app.eventstore.record import GENESIS, record_of
from app.identifiers import new_log_id, new_request_id
from app.tokens.signing import Algorithm, SigningKey
from app.vault import ADD_RING_KEY, RING_NAMES, TABLES, Ring, Vault, signing_name
from domain import commands
from domain.aggregate import aggregate_of
from domain.errors import Damage
from domain.policy import Policy
from domain.stream import SYSTEM, Meta, Recorded
from projections.live import (
    CREATE_POINTERS,
    POINT,
    MissedEvents,
    UnknownView,
    newest,
    read_live,
    read_pointers,
)
from projections.registry import PROJECTIONS
from projections.storage import Rows, Storage, Transaction
from projections.storage_sqlite import SqliteStorage

SQLITE: Final = "sqlite:///"
POSTGRESQL: Final = ("postgresql://", "postgres://")

_NEW_STORE: Final = "INSERT INTO store (one, format, log_id, generation) VALUES (1, ?, ?, ?)"
_FORMAT: Final = "SELECT format FROM store"


class Store(msgspec.Struct, frozen=True):
    """An open store."""

    storage: Storage
    log: EventLog
    vault: Vault
    ring: Ring
    log_id: str

    def snapshot(self) -> AbstractContextManager[Rows]:
        """As `live_snapshot`."""
        return live_snapshot(self.storage)


class UnusableStore(Damage):
    """The store can't be used by this release, or with this key."""

    code = "unusable_store"


def storage_of(url: str) -> Storage:
    """The storage that a database URL names."""
    if url.startswith(POSTGRESQL):
        from projections.storage_postgres import PostgresStorage  # noqa: PLC0415 - an extra

        return PostgresStorage(url)
    return SqliteStorage(Path(url.removeprefix(SQLITE)))


@contextmanager
def live_snapshot(storage: Storage) -> Iterator[Rows]:
    """One moment of a store, in which the views' names stand for the live tables.

    Raises `Lost`; `NoTable` when a view's table was dropped, after a swap, while this was read.
    """
    with storage.snapshot() as rows:
        yield read_live(rows, PROJECTIONS).rows(rows)


def open_store(
    storage: Storage, vault: Vault, algorithm: Algorithm, *, views: bool = True
) -> Store:
    """Open the store, making it when it isn't there, and what it doesn't have yet.

    `views` is false for whoever comes to rebuild one that this release doesn't know.

    Raises `UnusableStore` when a key of the ring doesn't open or a newer release has migrated it,
    `NotDurable` and `Lost` as the storage says.
    """
    storage.prepare()
    with storage.transaction() as rows:
        there = rows.has_table("store")
        if there:
            _check(rows)
            if add_missing(rows) | _add_followers(rows):
                rows.commit()
    if not there:
        _make(storage, vault, SigningKey.generate(algorithm))
    with storage.snapshot() as found:
        _check(found)
        if views:
            _check_views(found)
        try:
            ring = vault.load_ring(found)
        except Damage as error:
            raise UnusableStore(error.detail) from error
        log_id = read_head(found).log_id
    return Store(storage, EventLog(storage, ring.log), vault, ring, log_id)


def _check(rows: Rows) -> None:
    found = rows.fetch(_FORMAT)
    if not found:
        msg = "The store has lost its own row: it is damaged. Restore it from a copy."
        raise UnusableStore(msg)
    stored = found[0][0]
    if stored != schema.FORMAT:
        msg = f"The store has format {stored!r}, this release reads {schema.FORMAT}. Upgrade it."
        raise UnusableStore(msg)


def _check_views(rows: Rows) -> None:
    """Each is of a version that is kept, and an inline one has missed no event."""
    try:
        read_live(rows, PROJECTIONS).check(read_head(rows).position)
    except (UnknownView, MissedEvents) as error:
        raise UnusableStore(str(error)) from error


def _add_followers(rows: Transaction) -> bool:
    """Make the following views that a store doesn't have; each fills by itself."""
    there = read_pointers(rows)
    missing = [
        each for each in newest(PROJECTIONS) if each.mode == "follow" and each.name not in there
    ]
    for projection in missing:
        for table in projection.tables:
            rows.define(table)
        rows.execute(POINT, (projection.name, projection.version))
    return bool(missing)


def _make(storage: Storage, vault: Vault, key: SigningKey) -> None:
    with storage.transaction() as rows:
        if rows.has_table("store"):
            return
        log_id = new_log_id()
        lay_out(rows, log_id, generation=1)
        for name in RING_NAMES:
            rows.execute(ADD_RING_KEY, vault.new_ring_key(name))
        rows.execute(ADD_RING_KEY, vault.new_ring_key(signing_name(key.kid), key.to_pkcs8()))
        _write_first(rows, vault, log_id, key)
        rows.commit()


def lay_out(rows: Transaction, log_id: str, generation: int) -> None:
    """Make every table, with nothing in them but the store's own row."""
    views = [table for projection in newest(PROJECTIONS) for table in projection.tables]
    for statement in (*schema.tables(rows.kind), *TABLES, CREATE_POINTERS, *views):
        rows.define(statement)
    add_missing(rows)
    rows.execute(_NEW_STORE, (schema.FORMAT, log_id, generation))
    for projection in newest(PROJECTIONS):
        rows.execute(POINT, (projection.name, projection.version))


def _write_first(rows: Transaction, vault: Vault, log_id: str, key: SigningKey) -> None:
    """The events that a log begins with: its opening and its first signing key."""
    now = rows.clock()
    meta = Meta(SYSTEM, new_request_id())
    wishes: tuple[commands.Command, ...] = (
        commands.OpenLog(log_id),
        commands.AddSigningKey(key.kid, key.algorithm, key.verifying_key.members()),
    )
    recorded: list[Recorded] = []
    for command in wishes:
        aggregate = aggregate_of(command.stream)
        facts = aggregate.decide(aggregate.state(), command, Policy(), now)
        for version, event in enumerate(facts, 1):
            position = len(recorded) + 1
            recorded.append(Recorded(command.stream, version, position, now, meta, event))
    head = Head(1, log_id, 0, 0, GENESIS)
    Append(rows, head, vault.load_ring(rows).log).write(map(record_of, recorded))
    read_live(rows, PROJECTIONS).apply(rows, recorded)
