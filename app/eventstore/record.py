"""One row of the log, its canonical bytes, and the chain that binds it to the row before.

Knows no storage.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, NamedTuple

import msgspec

from domain.codec import StoredForm, decode, encode
from domain.stream import Recorded

GENESIS: Final = bytes(32)
"""The chain before the first row."""

_encode = msgspec.json.Encoder().encode


class Record(NamedTuple):
    """Every column of a row but its chain, in the order in which they are chained."""

    position: int
    stream: str
    version: int
    topic: str
    schema: int
    time: int
    clear: bytes
    sealed: bytes | None

    def canonical(self) -> bytes:
        """A JSON array of the columns, blobs in base64: the same bytes on every storage."""
        return _encode(self)

    def chained(self, key: bytes, before: bytes) -> bytes:
        """HMAC-SHA-256 over the chain of the row before and this record."""
        return hmac.digest(key, before + self.canonical(), hashlib.sha256)

    def recorded(self) -> Recorded:
        """The event in its newest shape; raises `UnknownEvent` or `Damage`."""
        form = StoredForm(self.topic, self.schema, self.clear, self.sealed)
        return decode(self.stream, self.version, self.position, self.time, form)


def record_of(recorded: Recorded) -> Record:
    """The row of an event whose personal values are sealed."""
    form = encode(recorded.event, recorded.meta)
    return Record(recorded.position, recorded.stream, recorded.version, form.topic, form.schema,
                  recorded.time, form.clear, form.sealed)  # fmt: skip
