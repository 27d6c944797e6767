"""An exported log, proved by itself: without the store, and without any key.

What only keys prove is left: that the chain is ours, that what is sealed opens, and the views.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from app.archive.lines import Chained, read_record
from app.archive.reading import Reader, reading
from app.verifying.findings import Findings
from app.verifying.log import LogProof, Noted
from app.verifying.store import Own, Report, report
from domain.errors import Damage
from projections.storage import Row

BATCH: Final = 1000
UNPROVED: Final = (
    "Without keys it can't be proved who wrote these records: give --expect a root that you "
    "noted, or have it compared by whoever keeps the store."
)


def verify_file(path: Path, noted: Noted | None, advance: Callable[[int], None]) -> Report:
    """Order, versions, times, what each event says, and the root that the file claims.

    Raises `InvalidRequest` for a file that can't be read, `Damage` for one of another kind.
    """
    findings = Findings()
    proof, own = LogProof(findings, None, noted), Own()
    with reading(path, "gatebook-log") as reader:
        for batch in _batches(reader, findings):
            for step in proof.take(batch):
                own.take(step)
            advance(len(batch))
        proof.end()
        _check(reader, proof, own, findings)
    return report(findings, reader.header.log_id, proof, {})


def _batches(reader: Reader, findings: Findings) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for each in _records(reader, findings):
        batch.append((*each[0], each[1]))
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


def _records(reader: Reader, findings: Findings) -> Iterator[Chained]:
    """Those lines that are records; of the others it is told."""
    try:
        for line in reader.lines():
            try:
                yield read_record(line)
            except Damage as error:
                findings.add("file", reader.number, error.detail)
    except Damage as error:
        findings.add("file", reader.number, error.detail)


def _check(reader: Reader, proof: LogProof, own: Own, findings: Findings) -> None:
    """What the file says of itself is so."""
    if reader.header.head != proof.position:
        text = f"The file says that it ends at {reader.header.head}, and it does at "
        findings.add("file", 1, f"{text}{proof.position}.")
    if reader.header.log_id != own.log.log_id:
        findings.add("file", 1, "The file names another log_id than its records.")
    if reader.end is not None and reader.end.root != proof.root:
        findings.add("file", reader.number, "The root is another one than the file says.")
