"""Filling an empty database with a log and its keys: proved, folded, all of it or nothing.

Everything happens in one transaction, which the caller commits: a run that was broken off has
left nothing behind. Positions, chains and views are the same as where the file was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from app.archive.lines import (
    Chained,
    Header,
    Key,
    Network,
    Reservation,
    RingKey,
    UserKey,
)
from app.eventstore.log import INSERT, LENGTH
from app.known_networks import KEEP_NETWORK
from app.store import UnusableStore, lay_out
from app.vault import (
    ADD_RING_KEY,
    ADD_USER_KEY,
    RESERVE_NAME,
    Ring,
    Vault,
    Wrapped,
)
from app.verifying.findings import Findings
from app.verifying.log import LogProof, Step
from domain.errors import Damage
from domain.stream import Recorded
from projections.live import read_live
from projections.registry import PROJECTIONS
from projections.storage import Kind, Statement, Transaction

T = TypeVar("T")

BATCH: Final = 500


class Filled(NamedTuple):
    """What came in: the ring, and of the log the root and the time (µs) of its last event."""

    ring: Ring
    position: int
    root: str
    time: int


def check_empty(rows: Transaction) -> None:
    """Raises `UnusableStore` when there is a store already."""
    if rows.has_table("store"):
        msg = (
            "There is a store in this database already, and nothing is written over. Name an "
            "empty database in GATEBOOK_DATABASE_URL."
        )
        raise UnusableStore(msg)


def check_ring(keys: Iterable[Key], vault: Vault) -> None:
    """Raises `UnusableStore` for a master key that these weren't wrapped under.

    Those of the service come first among a file's keys.
    """
    for key in keys:
        if not isinstance(key, RingKey):
            return
        try:
            vault.unwrap_ring_key(key.name, Wrapped(key.master_id, key.wrapped))
        except Damage as error:
            raise UnusableStore(error.detail) from error


def make_tables(rows: Transaction, kind: Kind, header: Header) -> None:
    """The tables of an empty store.

    Its generation is the time, which is more than any process can remember of another store.
    """
    check_empty(rows)
    lay_out(rows, kind, header.log_id, generation=rows.clock())


def put_keys(rows: Transaction, keys: Iterable[Key], vault: Vault) -> None:
    """Keys as they are wrapped, each of which opens; raises `Damage` for one that doesn't."""
    for batch in _batched(keys):
        for key in batch:
            rows.execute(*_statement(key, vault))
        _sent(rows)


def put_records(
    rows: Transaction, records: Iterable[Chained], vault: Vault, advance: Callable[[int], None]
) -> Filled:
    """Records in their order, each proved by its chain, with the views.

    Raises `Damage` for the first that isn't, or can't be read.
    """
    ring = vault.load_ring(rows)
    findings, time, live = Findings(), 0, read_live(rows, PROJECTIONS)
    proof = LogProof(findings, ring.log)
    for batch in _batched(records):
        steps = proof.take([(*record, chain) for record, chain in batch])
        if wrong := findings.told():
            msg = f"Event {wrong[0].key} of the file: {wrong[0].detail}"
            raise Damage(msg)
        for record, chain in batch:
            rows.execute(INSERT, (*record, chain))
        live.apply(rows, _recorded(steps))
        _sent(rows)
        time = batch[-1][0].time
        advance(len(batch))
    return Filled(ring, proof.position, proof.root, time)


def _recorded(steps: Sequence[Step]) -> list[Recorded]:
    return [step.recorded for step in steps if step.recorded is not None]


def _statement(key: Key, vault: Vault) -> Statement:
    match key:
        case RingKey(name, master_id, wrapped):
            vault.unwrap_ring_key(name, Wrapped(master_id, wrapped))
            return ADD_RING_KEY, (name, master_id, wrapped)
        case UserKey(user_key, version, master_id, wrapped):
            vault.unwrap_user_key(user_key, version, Wrapped(master_id, wrapped))
            return ADD_USER_KEY, (user_key, version, master_id, wrapped)
        case Reservation(mac, user_key):
            return RESERVE_NAME, (mac, user_key)
        case Network(user_key, mac, last_at):
            return KEEP_NETWORK, (user_key, mac, last_at)


def _sent(rows: Transaction) -> None:
    """Writes wait for the next read: so many are sent at a time, within every time limit."""
    rows.fetch(LENGTH)


def _batched(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch
