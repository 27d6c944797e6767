"""A store out of files: an exported log with its keys, or a backup.

One transaction from the first table to the last event. Knows no command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, takewhile
from pathlib import Path
from typing import Final, NamedTuple

from app.archive.filling import Filled, check_ring, make_tables, put_keys, put_records
from app.archive.lent import LentStorage
from app.archive.lines import End, Header, is_record, read_key, read_record
from app.archive.reading import reading
from app.archive.restoring import Ending, Restored, Restoring, untold
from app.eventstore.feed import LogFeed
from app.settings import Settings
from app.vault import Vault
from app.verifying.log import Noted
from domain.errors import Damage
from projections.registry import PROJECTIONS
from projections.runner import Follower
from projections.storage import Storage, Transaction

Advance = Callable[[int], None]

_OTHER: Final = "The records and the keys aren't of the same moment of the same log."


class Imported(NamedTuple):
    """What a store was filled with, and how it goes on; None when as the same log."""

    filled: Filled
    restored: Restored | None


class Place(NamedTuple):
    """Where to: an empty database, the master key of the file, and the settings from now on."""

    storage: Storage
    vault: Vault
    settings: Settings


def header_of(path: Path, *, backup: bool) -> Header:
    """What a file says of itself; raises as `reading` does."""
    with reading(path, "gatebook-backup" if backup else "gatebook-log") as reader:
        return reader.header


def import_log(
    place: Place,
    log: Path,
    keys: Path,
    advance: Advance,
    *,
    move: bool,
    noted: Noted | None = None,
    ending: Ending = untold,
) -> Imported:
    """Fill a store with an exported log; with `move` it goes on as the very same log.

    `advance` hears of the records that are in, and `ending` of what is done then with those who
    have sessions. `noted` is a root that it must extend, and its own for files that aren't sealed.
    Raises `UnusableStore` for a database that isn't empty and for another master key, before
    anything is written; `Damage` for files that aren't as they were written, and then nothing is.
    """
    with reading(keys, "gatebook-keys") as wrapped:
        check_ring(wrapped.read(read_key, wrapped.lines()), place.vault)
    with reading(keys, "gatebook-keys") as wrapped, reading(log, "gatebook-log") as records:
        if _moment(wrapped.header) != _moment(records.header):
            raise Damage(_OTHER)

        def fill(rows: Transaction) -> Filled:
            put_keys(rows, wrapped.read(read_key, wrapped.lines()), place.vault)
            lines = records.read(read_record, records.lines())
            filled = put_records(rows, lines, place.vault, noted, advance)
            _check(filled, records.end, noted)
            _check_seal(filled, wrapped.end, noted)
            if wrapped.end is None or wrapped.end.root != filled.root:
                raise Damage(_OTHER)
            return filled

        return _import(place, records.header, fill, None if move else (), ending)


def restore(
    place: Place,
    backup: Path,
    erase: Sequence[str],
    advance: Advance,
    noted: Noted | None = None,
    ending: Ending = untold,
) -> Imported:
    """Fill a store with a backup, and erase these people again; the rest as `import_log`."""
    with reading(backup, "gatebook-backup") as reader:
        keys = takewhile(lambda line: not is_record(line), reader.lines())
        check_ring(reader.read(read_key, keys), place.vault)
    with reading(backup, "gatebook-backup") as reader:

        def fill(rows: Transaction) -> Filled:
            parts = groupby(reader.lines(), is_record)
            put_keys(rows, reader.read(read_key, _keys(parts)), place.vault)
            _, lines = next(parts, (True, iter(())))
            records = reader.read(read_record, lines)
            filled = put_records(rows, records, place.vault, noted, advance)
            if next(parts, None) is not None:
                msg = "There are keys after the records."
                raise Damage(msg)
            _check(filled, reader.end, noted)
            return filled

        return _import(place, reader.header, fill, erase, ending)


def _import(
    place: Place,
    header: Header,
    fill: Callable[[Transaction], Filled],
    erase: Sequence[str] | None,
    ending: Ending,
) -> Imported:
    storage, vault, settings = place
    storage.prepare()
    with storage.transaction() as rows:
        make_tables(rows, header)
        filled = fill(rows)
        restored = None
        if erase is not None:
            restoring = Restoring(rows, filled, vault)
            restored = restoring.go_on(settings, erase, ending)
        _follow(rows)
        rows.commit()
    return Imported(filled, restored)


def _follow(rows: Transaction) -> None:
    """Bring what follows the log to its head: nobody need serve the store for it to be whole."""
    Follower(LentStorage(rows), LogFeed(), PROJECTIONS).catch_up()


def _keys(parts: Iterator[tuple[bool, Iterator[bytes]]]) -> Iterator[bytes]:
    is_records, lines = next(parts, (True, iter(())))
    if is_records:
        msg = "The file has no keys."
        raise Damage(msg)
    yield from lines


def _check(filled: Filled, end: End | None, noted: Noted | None) -> None:
    """What came in is all that the file was written with."""
    if end is None or (end.records, end.root) != (filled.position, filled.root):
        msg = "The file's last line is of other records."
        raise Damage(msg)
    _check_seal(filled, end, noted)


def _check_seal(filled: Filled, end: End | None, noted: Noted | None) -> None:
    """Whoever wrote the last line had the store's key; or somebody noted the root it ends with.

    Without either the newest events, and whatever follows from them, could have been left out.
    """
    if end is None or (end.mac is not None and not end.is_sealed_by(filled.ring.log)):
        msg = "The file isn't as it was written: its last line isn't sealed by this store's key."
        raise Damage(msg)
    if end.mac is None and noted != (filled.position, filled.root):
        msg = (
            "The file isn't sealed, since the master key wasn't at hand when it was written, or "
            "somebody changed it. Give --expect the POSITION:ROOT that was noted then."
        )
        raise Damage(msg)


def _moment(header: Header) -> tuple[str, int]:
    return header.log_id, header.head
