"""What stands in a file of records or keys: a line each, the first and the last about the file.

A record's line is its canonical JSON, a tab, and its chain in base64. Keys stay wrapped as they
are in the store. The last line counts what came before, and is sealed by the store's key where
that was at hand, so that a file that was cut off or changed is noticed. Knows no file.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final, Literal

import msgspec

from app.eventstore.record import Record
from domain.errors import Damage

Format = Literal["gatebook-log", "gatebook-keys", "gatebook-backup"]
VERSION: Final = 1
"""Of the files; a newer one is for a newer release."""


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line: what this is, and of which log at which moment."""

    format: Format
    version: int
    log_id: str
    head: int


class End(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The last line.

    `root` is of the records up to `head` (RFC 6962), `sha256` of every byte before this line, and
    `mac` HMAC-SHA-256 of the other members, by a key of the store's; all in hexadecimal.
    """

    records: int
    keys: int
    root: str
    sha256: str
    mac: str | None = None

    def sealed(self, log_key: bytes) -> End:
        """With its `mac`, by the ring's `log` key."""
        # A key of its own: what chains records never stands for a file.
        key = hmac.digest(log_key, b"gatebook archive", hashlib.sha256)
        content = _encode(msgspec.structs.replace(self, mac=None))
        return msgspec.structs.replace(self, mac=hmac.digest(key, content, hashlib.sha256).hex())

    def is_sealed_by(self, log_key: bytes) -> bool:
        """Whether whoever had the key wrote this; false without a `mac` too."""
        mine, right = (each.mac or "" for each in (self, self.sealed(log_key)))
        # As bytes: of text it takes ASCII alone, and a file may say anything.
        return hmac.compare_digest(mine.encode(), right.encode())


class RingKey(msgspec.Struct, frozen=True, array_like=True, tag="ring"):
    """A row of `ring_keys`."""

    name: str
    master_id: str
    wrapped: bytes


class UserKey(msgspec.Struct, frozen=True, array_like=True, tag="user"):
    """A row of `user_keys`."""

    user_key: str
    version: int
    master_id: str
    wrapped: bytes


class Reservation(msgspec.Struct, frozen=True, array_like=True, tag="name"):
    """A row of `user_ids`."""

    name_mac: bytes
    user_key: str


class Network(msgspec.Struct, frozen=True, array_like=True, tag="network"):
    """A row of `known_networks`: without them strangers could lock the owners out."""

    user_key: str
    network_mac: bytes
    last_at: int


Key = RingKey | UserKey | Reservation | Network
Chained = tuple[Record, bytes]

_encode = msgspec.json.Encoder().encode
_decode_key: Final = msgspec.json.Decoder(Key)
_decode_record: Final = msgspec.json.Decoder(Record)
_decode_header: Final = msgspec.json.Decoder(Header)
_decode_end: Final = msgspec.json.Decoder(End)


def spell(line: Header | End | Key) -> bytes:
    """A line that is no record's."""
    return _encode(line) + b"\n"


def spell_record(record: Record, chain: bytes) -> bytes:
    """A record's line."""
    return b"%s\t%s\n" % (record.canonical(), base64.b64encode(chain))


def read_header(line: bytes, wanted: Format) -> Header:
    """The first line; raises `Damage` for a file of another kind or of a newer release."""
    try:
        header = _decode_header.decode(line)
    except msgspec.DecodeError:
        msg = f"This is no file of the kind {wanted}."
        raise Damage(msg) from None
    if header.format != wanted:
        msg = f"This is a file of the kind {header.format}, and {wanted} is needed."
        raise Damage(msg)
    if header.version != VERSION:
        msg = f"This file has version {header.version}, this release reads {VERSION}. Upgrade it."
        raise Damage(msg)
    return header


def read_end(line: bytes) -> End:
    """The last line; raises `Damage`."""
    try:
        return _decode_end.decode(line)
    except msgspec.DecodeError:
        msg = "This line is neither a record nor a key."
        raise Damage(msg) from None


def is_record(line: bytes) -> bool:
    """Whether a line is a record's, and not a key's or the last."""
    return line[:1] == b"[" and line[1:2] != b'"'


def read_record(line: bytes) -> Chained:
    """A record in its one spelling; raises `Damage`."""
    content, _, chain = line.partition(b"\t")
    try:
        record = _decode_record.decode(content)
        if record.canonical() != content:
            raise ValueError
        return record, base64.b64decode(chain, validate=True)
    except ValueError:
        msg = "This line is no record."
        raise Damage(msg) from None


def read_key(line: bytes) -> Key:
    """A key, a reservation or a network; raises `Damage`."""
    try:
        key: Key = _decode_key.decode(line)
    except msgspec.DecodeError:
        msg = "This line is no key."
        raise Damage(msg) from None
    return key
