"""Writing the log and its keys, of one moment of a store, as files.

Unwraps nothing. `log_key` is the ring's, which seals the last line; None where there is no master
key to have it by. Knows no store's kind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from app.archive.lines import (
    VERSION,
    End,
    Format,
    Header,
    Key,
    Network,
    Reservation,
    RingKey,
    UserKey,
    spell,
    spell_record,
)
from app.eventstore.log import EVERYTHING, read_head
from app.eventstore.record import Record
from app.merkle import Tree
from domain.errors import Damage
from projections.storage import Rows

Advance = Callable[[int], None]

_RING: Final = "SELECT name, master_id, wrapped FROM ring_keys ORDER BY name COLLATE BINARY"
_USERS: Final = """
SELECT user_key, version, master_id, wrapped FROM user_keys
WHERE version >= 0 ORDER BY user_key COLLATE BINARY, version"""
_NAMES: Final = "SELECT name_mac, user_key FROM user_ids ORDER BY name_mac"
_NETWORKS: Final = """
SELECT user_key, network_mac, last_at FROM known_networks
ORDER BY user_key COLLATE BINARY, network_mac"""
_KEYS: Final[tuple[tuple[type[Key], str], ...]] = (
    (RingKey, _RING),
    (UserKey, _USERS),
    (Reservation, _NAMES),
    (Network, _NETWORKS),
)


def export_log(rows: Rows, file: BinaryIO, advance: Advance, log_key: bytes | None = None) -> End:
    """Every record with its chain; `advance` hears how many were written."""
    out = _Out(file, "gatebook-log", rows, log_key)
    out.write_records(rows, advance)
    return out.end()


def export_keys(rows: Rows, file: BinaryIO, log: End, log_key: bytes | None = None) -> None:
    """Every key and reservation that belongs to an exported log of the same moment."""
    out = _Out(file, "gatebook-keys", rows, log_key)
    out.write_keys(rows)
    out.end(log.root)


def back_up(rows: Rows, file: BinaryIO, advance: Advance, log_key: bytes | None = None) -> End:
    """Keys and records in one file."""
    out = _Out(file, "gatebook-backup", rows, log_key)
    out.write_keys(rows)
    out.write_records(rows, advance)
    return out.end()


class _Out:
    """A file as it is written, with what its last line will say."""

    def __init__(self, file: BinaryIO, what: Format, rows: Rows, log_key: bytes | None) -> None:
        self._file = file
        self._log_key = log_key
        self._hash = hashlib.sha256()
        self._tree = Tree()
        self._keys = 0
        head = read_head(rows)
        self._write(spell(Header(what, VERSION, head.log_id, head.position)))

    def write_records(self, rows: Rows, advance: Advance) -> None:
        """In the order of positions."""
        for batch in rows.scan(EVERYTHING):
            lines = []
            for *columns, chain in batch:
                record = Record(*columns)  # type: ignore[arg-type]
                if not isinstance(chain, bytes):
                    msg = f"The event at position {record.position} has no chain. Run audit verify."
                    raise Damage(msg)
                self._tree.add(record.canonical())
                lines.append(spell_record(record, chain))
            self._write(b"".join(lines))
            advance(len(batch))

    def write_keys(self, rows: Rows) -> None:
        """The service's own come first: who reads them sees soon whether its master key fits."""
        for line in _keys(rows):
            self._write(spell(line))
            self._keys += 1

    def end(self, root: str | None = None) -> End:
        """The last line; of keys it says to which log they belong."""
        whole = root or self._tree.root().hex()
        end = End(self._tree.count, self._keys, whole, self._hash.hexdigest())
        if self._log_key is not None:
            end = end.sealed(self._log_key)
        self._file.write(spell(end))
        return end

    def _write(self, content: bytes) -> None:
        self._hash.update(content)
        self._file.write(content)


def _keys(rows: Rows) -> Iterator[Key]:
    for kind, sql in _KEYS:
        for batch in rows.scan(sql):
            for row in batch:
                yield kind(*row)  # type: ignore[arg-type]
