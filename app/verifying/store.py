"""A whole store, proved: the log, its keys, and every table that follows from it.

One moment of the store, read through once from the first event to the last. Nothing that is
wrong keeps it from finding the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Final, Protocol

import msgspec

from app.eventstore import schema
from app.eventstore.log import EVERYTHING
from app.vault import Vault
from app.verifying.findings import Finding, Findings
from app.verifying.guards import check_guards
from app.verifying.keys import Keys, check_signing_keys, open_ring, open_users
from app.verifying.log import LogProof, Noted, Step
from app.verifying.people import People
from app.verifying.shape import check_shape
from app.verifying.snapshots import Snapshots
from app.verifying.views import Views, views
from domain.aggregate import KEYS, OF_LOG
from domain.log import Log
from domain.signing_keys import SigningKeys
from domain.stream import LOG, SIGNING_KEYS
from projections.storage import Kind, Rows

Advance = Callable[[int], None]

_STORE: Final = "SELECT one, format, log_id, generation FROM store"


class Report(msgspec.Struct, frozen=True):
    """What was found; `root` (hexadecimal) is of the records up to `head`.

    `notes` are things to know that aren't wrong.
    """

    ok: bool
    log_id: str
    head: int
    root: str
    digests: dict[str, str]
    findings: list[Finding]
    notes: list[Finding]


def verify_log(rows: Rows, vault: Vault, noted: Noted | None, advance: Advance) -> Report:
    """Prove the log alone, with the key of its chain; `advance` hears how many events were read.

    Raises `UnusableStore` for a master key that opens nothing here.
    """
    findings = Findings()
    ring = open_ring(rows, vault, findings)
    proof = LogProof(findings, ring.get("log"), noted)
    own = Own()
    for step in _steps(rows, proof, advance):
        own.take(step)
    proof.end()
    own.check_store(rows, findings)
    return report(findings, own.log.log_id, proof, {})


def verify_store(
    rows: Rows,
    vault: Vault,
    noted: Noted | None,
    advance: Advance,
    guarded: Kind | None = None,
) -> Report:
    """Prove the log and all that follows from it; as `verify_log`.

    `guarded` is the kind of a storage whose guards must be there, and tables as they are made.
    """
    findings = Findings()
    if guarded is not None:
        check_guards(rows, guarded, findings)
        check_shape(rows, guarded, findings)
    keys = open_users(rows, vault, open_ring(rows, vault, findings), findings)
    proof = LogProof(findings, keys.ring.get("log"), noted)
    own, people = Own(), People(keys, findings)
    with ExitStack() as stack:
        live = stack.enter_context(views(rows, findings))
        snapshots = Snapshots(rows, keys, findings)
        parts: Iterable[_Part] = (own, people, snapshots, live)
        for step in _steps(rows, proof, advance):
            for part in parts:
                part.take(step)
        proof.end()
        digests = _finish(rows, keys, findings, proof, own, people, snapshots, live)
    return report(findings, own.log.log_id, proof, digests)


def verify_views(rows: Rows, vault: Vault, advance: Advance) -> Report:
    """Prove the views, and the log from which they follow; as `verify_log`."""
    findings = Findings()
    proof = LogProof(findings, open_ring(rows, vault, findings).get("log"))
    own = Own()
    with views(rows, findings) as live:
        for step in _steps(rows, proof, advance):
            own.take(step)
            live.take(step)
        proof.end()
        digests = live.finish(proof.position)
    return report(findings, own.log.log_id, proof, digests)


def report(findings: Findings, log_id: str, proof: LogProof, digests: dict[str, str]) -> Report:
    """What it came to."""
    found = findings.told()
    return Report(not found, log_id, proof.position, proof.root, digests, found, findings.notes)


class _Part(Protocol):
    def take(self, step: Step) -> None: ...


class Own:
    """The streams that belong to no user."""

    def __init__(self) -> None:
        self.log = Log()
        self.keys = SigningKeys()

    def take(self, step: Step) -> None:
        """The next event."""
        recorded = step.recorded
        if recorded is None:
            return
        if recorded.stream == SIGNING_KEYS:
            self.keys = KEYS.evolve(self.keys, recorded)
        elif recorded.stream == LOG:
            self.log = OF_LOG.evolve(self.log, recorded)

    def check_store(self, rows: Rows, findings: Findings) -> None:
        """The store's own row."""
        found = [row for batch in rows.scan(_STORE) for row in batch]
        if len(found) != 1:
            findings.add("store", 1, f"The store has {len(found)} rows of its own.")
            return
        one, stored, log_id, generation = found[0]
        if (one, stored) != (1, schema.FORMAT):
            findings.add("store", one, f"Format {stored!r}, this release reads {schema.FORMAT}.")
        if log_id != self.log.log_id:
            findings.add("store", one, "The log has another log_id.")
        if not isinstance(generation, int) or generation < 1:
            findings.add("store", one, "The generation is no number that it can have.")


def _steps(rows: Rows, proof: LogProof, advance: Advance) -> Iterator[Step]:
    for batch in rows.scan(EVERYTHING):
        yield from proof.take(batch)
        advance(len(batch))


def _finish(
    rows: Rows,
    keys: Keys,
    findings: Findings,
    proof: LogProof,
    own: Own,
    people: People,
    snapshots: Snapshots,
    live: Views,
) -> dict[str, str]:
    own.check_store(rows, findings)
    check_signing_keys(own.keys, keys.ring, rows, findings)
    people.finish(rows)
    snapshots.finish(people.is_erased)
    return live.finish(proof.position)
