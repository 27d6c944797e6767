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
from app.archive.statistics import Statistics
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
from app.verifying.keys import check_signing_keys, open_ring, open_users
from app.verifying.log import LogProof, Noted, Step
from app.verifying.people import People
from app.verifying.store import Own
from domain.errors import Damage
from domain.stream import Recorded
from projections.live import read_live
from projections.registry import PROJECTIONS
from projections.storage import Statement, Transaction

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


def make_tables(rows: Transaction, header: Header) -> None:
    """The tables of an empty store.

    Its generation is the time, which is more than any process can remember of another store.
    """
    check_empty(rows)
    lay_out(rows, header.log_id, generation=rows.clock())


def put_keys(rows: Transaction, keys: Iterable[Key], vault: Vault) -> None:
    """Keys as they are wrapped, each of which opens; raises `Damage` for one that doesn't."""
    for batch in _batched(keys):
        for key in batch:
            rows.execute(*_statement(key, vault))
        _sent(rows)


def put_records(
    rows: Transaction,
    records: Iterable[Chained],
    vault: Vault,
    noted: Noted | None,
    advance: Callable[[int], None],
) -> Filled:
    """Records in their order, each proved by its chain, with the views.

    Then keys, names and the store's own row are what the records say. Raises `Damage` for the
    first that isn't, or can't be read.
    """
    ring = vault.load_ring(rows)
    findings, time, live = Findings(), 0, read_live(rows, PROJECTIONS)
    keys = open_users(rows, vault, open_ring(rows, vault, findings), findings)
    own, people, proof = Own(), People(keys, findings), LogProof(findings, ring.log, noted)
    statistics = Statistics(rows)
    for batch in _batched(records):
        steps = proof.take([(*record, chain) for record, chain in batch])
        for step in steps:
            own.take(step)
            people.take(step)
        _refuse(findings)
        for record, chain in batch:
            rows.execute(INSERT, (*record, chain))
        live.apply(rows, _recorded(steps))
        _sent(rows)
        statistics.wrote(len(batch))
        time = batch[-1][0].time
        advance(len(batch))
    proof.end()
    own.check_store(rows, findings)
    check_signing_keys(own.keys, keys.ring, rows, findings)
    people.finish(rows)
    _refuse(findings)
    return Filled(ring, proof.position, proof.root, time)


def _refuse(findings: Findings) -> None:
    """Raises `Damage` with what was found, if anything was."""
    found = findings.told()
    if not found:
        return
    table, key, detail = found[0].table, found[0].key, found[0].detail
    if table == "events":
        msg = f"Event {key} of the file: {detail}"
    elif table == "store":
        msg = f"The file's first line isn't that of its records: {detail}"
    else:
        msg = f"{key} in {table} of the file: {detail}"
    if len(found) > 1:
        msg += f" That is the first of {len(found)} findings."
    raise Damage(msg)


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
