"""A stream's state at a version, kept by the writer so that no stream is slow to load.

Disposable: one that is missing, of another shape or not readable costs a longer fold and
nothing else. Sealed with the person's key, bound to its place. Knows no rule.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import msgspec

from app.eventstore.log import padded
from app.vault import Place, open_sealed_bytes, seal_bytes
from domain.errors import Damage
from domain.user import FOLD, Session, User
from projections.storage import Rows

EVERY: Final = 50
"""Events of a stream between two snapshots."""


def shape_of(*classes: type[msgspec.Struct]) -> str:
    """A short name for the members of these Structs: another one when a member changes."""
    members = [
        [(field.name, str(field.type)) for field in msgspec.structs.fields(cls)] for cls in classes
    ]
    return hashlib.sha256(msgspec.json.encode(members)).hexdigest()[:16]


TOPIC: Final = f"snapshot.user.{shape_of(User, Session)}.{FOLD}"
"""Names the shape of the state and its fold: snapshots of another one are passed over."""

_INSERT: Final = "INSERT INTO snapshots (stream, version, topic, state) VALUES (?, ?, ?, ?)"
DROP_SNAPSHOT: Final = "DELETE FROM snapshots WHERE stream = ?"
_NEWEST: Final = """
SELECT stream, state FROM snapshots WHERE topic = ? AND stream IN (%s) ORDER BY version"""

_decode = msgspec.msgpack.Decoder(User).decode


def write_snapshot(rows: Rows, stream: str, version: int, topic: str, state: bytes) -> None:
    """Keep a state as it is given."""
    rows.execute(_INSERT, (stream, version, topic, state))


def keep(rows: Rows, stream: str, user: User, key: bytes) -> None:
    """Replace the stream's snapshot by this state."""
    place = Place(stream, user.version, TOPIC, 1, "state")
    rows.execute(DROP_SNAPSHOT, (stream,))
    state = seal_bytes(key, place, msgspec.msgpack.encode(user))
    write_snapshot(rows, stream, user.version, TOPIC, state)


def newest(rows: Rows, keys: Mapping[str, bytes]) -> dict[str, User]:
    """The newest states of today's shape, of those streams whose keys are given."""
    streams = padded(list(keys), "")
    sql = _NEWEST % ", ".join("?" * len(streams))
    found = {}
    for stream, state in rows.fetch(sql, (TOPIC, *streams)):
        if not isinstance(stream, str) or not isinstance(state, bytes):
            continue
        with suppress(Damage, msgspec.DecodeError):
            found[stream] = _decode(open_sealed_bytes(keys[stream], state, stream, "state"))
    return found
