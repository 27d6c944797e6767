"""The log by itself: every row in its place, chained to the one before, and readable.

After a row that is wrong it goes on by what is stored there, so that the next one is judged by
itself. Knows no key but the chain's, and no view.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from app.eventstore.record import GENESIS, Record
from app.merkle import Tree
from app.verifying.findings import Findings
from domain.catalogue import UnknownEvent
from domain.errors import Damage, Fault, InvalidRequest
from domain.stream import Recorded
from projections.storage import Row

_EXPECTED: Final = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")
_TYPES: Final = (int, str, int, str, int, int, bytes, bytes | None)


class Noted(NamedTuple):
    """A root that somebody noted when the log ended at this position."""

    position: int
    root: str

    @classmethod
    def of(cls, text: str) -> Noted:
        """`POSITION:ROOT` as `audit verify` prints it; raises `InvalidRequest`."""
        found = _EXPECTED.fullmatch(text.strip().lower())
        if found is None:
            msg = "A noted root is POSITION:ROOT."
            why = "Give a position and 64 hexadecimal digits, as `audit verify` prints them."
            raise InvalidRequest(msg, (Fault("/expect", why),))
        return cls(int(found[1]), found[2])


class Step(NamedTuple):
    """A row of the log; what it holds, if that can be read; whether it is as it was written."""

    record: Record
    recorded: Recorded | None
    proved: bool


class LogProof:
    """Takes the rows of a log in their order; `chain_key` is None where there is none to be had."""

    def __init__(
        self, findings: Findings, chain_key: bytes | None, noted: Noted | None = None
    ) -> None:
        self.position = 0
        self._findings = findings
        # Copied for each row, which is twice as fast as to begin with the key.
        self._mac = None if chain_key is None else hmac.new(chain_key, digestmod=hashlib.sha256)
        self._noted = noted
        self._tree = Tree()
        self._time = 0
        self._versions: dict[str, int] = {}
        self._chain = GENESIS
        self._otherwise: bytes | None = None
        self._compare()

    @property
    def root(self) -> str:
        """Of all rows so far, in hexadecimal."""
        return self._tree.root().hex()

    def take(self, batch: Sequence[Row]) -> list[Step]:
        """The next rows."""
        steps = []
        add, noted = self._tree.add, self._noted
        for row in batch:
            record, chain = Record._make(row[:-1]), row[-1]
            content = record.canonical()
            proved = self._is_chained(record, content, chain)
            add(content)
            if record.position != self.position + 1:
                self._tell_gap(record.position)
            self.position = record.position
            if noted is not None and self._tree.count == noted.position:
                self._compare()
            if proved or _is_typed(record):
                self._check_order(record, proved=proved)
                steps.append(Step(record, self._read(record, proved=proved), proved))
            else:
                steps.append(Step(record, None, proved))
        return steps

    def end(self) -> None:
        """There are no more rows."""
        if self._noted is not None and self._tree.count < self._noted.position:
            self._findings.add(
                "events",
                self._noted.position,
                f"The log ends at {self.position}, before the noted root of position "
                f"{self._noted.position}: its end was cut off, or this is an older copy.",
            )

    def _is_chained(self, record: Record, content: bytes, chain: object) -> bool:
        """Whether the chain says that this row is as it was written, after the one before."""
        if self._mac is None:
            return _is_typed(record)
        expected = self._link(self._chain, content)
        otherwise, self._otherwise = self._otherwise, None
        if chain == expected:
            self._chain = expected
            return True
        self._chain = chain if isinstance(chain, bytes) else expected
        if record.position != self.position + 1:
            return False
        # Of the row before nothing may be wrong but its chain.
        if otherwise is not None and chain == self._link(otherwise, content):
            return True
        self._otherwise = expected
        self._findings.add(
            "events",
            record.position,
            "This event was changed, or isn't the one that followed the event before it.",
        )
        return False

    def _link(self, before: bytes, content: bytes) -> bytes:
        assert self._mac is not None  # noqa: S101 - asked before
        mac = self._mac.copy()
        mac.update(before + content)
        return mac.digest()

    def _tell_gap(self, found: int) -> None:
        first, last = self.position + 1, found - 1
        if last < first:
            self._findings.add("events", found, "This is no position in a log.")
            return
        missing = f"{first}" if first == last else f"{first} to {last}"
        self._findings.add(
            "events",
            first,
            f"Missing: {missing}. What stands at {found} can't be proved by its chain.",
        )

    def _check_order(self, record: Record, *, proved: bool) -> None:
        before = self._versions.get(record.stream, 0)
        if record.version == before + 1:
            self._versions[record.stream] = record.version
        elif proved:
            self._versions[record.stream] = record.version
            self._findings.add(
                "events",
                record.position,
                f"This is version {record.version} of {record.stream}, after version {before}.",
            )
        if not proved:
            return
        if record.time < self._time:
            self._findings.add(
                "events", record.position, "This event has an earlier time than one before it."
            )
        self._time = record.time

    def _read(self, record: Record, *, proved: bool) -> Recorded | None:
        try:
            return record.recorded()
        except UnknownEvent as error:
            if proved:
                self._findings.add(
                    "events",
                    record.position,
                    f"A newer release wrote {error}, which this one can't read. Upgrade it.",
                )
        except Damage as error:
            if proved:
                self._findings.add("events", record.position, error.detail)
        return None

    def _compare(self) -> None:
        """With the noted root, where the log is as long as it was then."""
        noted = self._noted
        if noted is None or self._tree.count != noted.position or self.root == noted.root:
            return
        self._findings.add(
            "events",
            noted.position,
            f"Up to position {noted.position} this isn't the log of the noted root: it was "
            "changed, or another one was put in its place.",
        )


def _is_typed(record: Record) -> bool:
    """Whether every column holds what it may: SQLite keeps whatever it is given."""
    return all(isinstance(value, kind) for value, kind in zip(record, _TYPES, strict=True))
