"""What follows from the log is exactly what it says: one changed byte is found, and named.

Each step makes a store by a random history, in which nothing may be found; changes one byte in a
random row of the log, a view, a reservation, a key or a snapshot, looks, and undoes it; swaps,
removes and inserts rows; cuts the end off, and puts an older copy in the store's place. What is
exported is the same wherever it is imported.
"""

from __future__ import annotations

import random
import secrets
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import psycopg

from app.archive.importing import Place, import_log
from app.archive.writing import export_keys, export_log
from app.settings import load
from app.store import open_store, storage_of
from app.vault import Vault
from app.verifying.log import Noted
from app.verifying.store import Advance, Report, verify_log, verify_store
from projections.comparison import spelled, tables_of
from projections.registry import PROJECTIONS
from tests.prove.tally import Tally
from tests.running import MASTER, settings
from tests.store.intruding import intrude, unseal
from tests.store.living import Life, follow

if TYPE_CHECKING:
    from app.store import Store
    from projections.storage import Row, Rows, Value
    from tests.store.intruding import Intruder

PROPERTY: Final = "a changed byte in the log, a view, a name or a key: audit verify names the row"
SIZE: Final = 1_000
OF: Final = "changed bytes"
STEP: Final = 50
SHORT: Final = 30
STORES: Final = ("sqlite", "postgresql")
WISHES: Final = 60
ROUNDS: Final = 2
"""Of each of the other things that befall rows."""
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


class Kept(NamedTuple):
    """A table with its columns; `key` are the places of those that name a row.

    `which` of its rows say anything: all, unless told otherwise.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[int, ...]
    which: str = "0 = 0"


TABLES: Final = (
    Kept(
        "events",
        ("position", "stream", "version", "topic", "schema", "time", "clear", "sealed", "chain"),
        (0,),
    ),
    Kept("user_ids", ("name_mac", "user_key"), (0,)),
    Kept("user_keys", ("user_key", "version", "master_id", "wrapped"), (0, 1), "version >= 0"),
    Kept("ring_keys", ("name", "master_id", "wrapped"), (0,)),
    Kept("snapshots", ("stream", "version", "topic", "state"), (0, 1)),
    Kept("views", ("name", "version", "position"), (0,)),
    *(
        Kept(table.name, table.columns, table.key)
        for projection in PROJECTIONS
        for table in tables_of(projection)
    ),
)
_REFUSED: Final = (sqlite3.IntegrityError, psycopg.errors.IntegrityError)


class Change(NamedTuple):
    """A row as it was and as it is."""

    table: Kept
    before: Row
    after: Row

    @property
    def names(self) -> set[str]:
        """What a finding may call it."""
        return {spelled(*(row[place] for place in self.table.key)) for row in self[1:]}

    def is_named(self, found: Report) -> bool:
        """Whether it was found, by name; of a view that follows it is noted that it is behind."""
        told = (*found.findings, *found.notes)
        return any(each.table == self.table.name and each.key in self.names for each in told)


def prove(url: str, count: int) -> Tally:
    """Change `count` bytes of one new store, one after another."""
    tally, seed = Tally(), secrets.randbits(32)
    rng = random.Random(seed)
    store = open_store(storage_of(url), Vault(MASTER), "ES256")
    try:
        life = Life(store, rng)
        life.begin()
        life.go_on(WISHES)
        life.erase("person7")
        tally.expect(look(store).ok, f"an honest log isn't: {look(store).findings[:3]}")
        with tempfile.TemporaryDirectory(prefix="gatebook-prove-") as directory:
            _older_copy(store, life, Path(directory), tally)
        with store.storage.transaction() as rows:
            unseal(rows, store.storage.kind)
            rows.commit()
        with intrude(url) as intruder:
            for _ in range(count):
                _change_a_byte(intruder, store, rng, tally)
                tally.tried += 1
            for _ in range(ROUNDS):
                for breach in (_swap, _remove, _insert):
                    breach(intruder, store, rng, tally)
            tally.expect(look(store).ok, f"undone, and yet: {look(store).findings[:3]}")
            tally.control("a change that wasn't made", noticed=not _nothing(store, rng, intruder))
            _cut(intruder, store, tally)
    finally:
        store.storage.close()
    tally.first = [f"seed {seed}: {each}" for each in tally.first]
    return tally


class Work(Protocol):
    """`verify_log` or `verify_store`."""

    def __call__(
        self, rows: Rows, vault: Vault, noted: Noted | None, advance: Advance
    ) -> Report: ...


def look(store: Store, noted: Noted | None = None, work: Work = verify_store) -> Report:
    """What `audit verify` finds."""
    with store.storage.snapshot() as rows:
        return work(rows, store.vault, noted, lambda _: None)


def change(rng: random.Random, value: Value) -> Value:
    """One byte of it is another one."""
    match value:
        case bytes():
            place = rng.randrange(len(value))
            return value[:place] + bytes([value[place] ^ rng.randint(1, 255)]) + value[place + 1 :]
        case str():
            place = rng.randrange(len(value)) if value else 0
            letter = rng.choice([each for each in _LETTERS if each != value[place : place + 1]])
            return value[:place] + letter + value[place + 1 :]
        case int():
            return value ^ 1 << rng.randrange(24)
        case None:
            return None


def _change_a_byte(intruder: Intruder, store: Store, rng: random.Random, tally: Tally) -> None:
    made = None
    while made is None:
        table = rng.choice(TABLES)
        rows = _rows(intruder, table)
        made = _make(intruder, rng, table, rng.choice(rows)) if rows else None
    found = look(store)
    tally.expect(made.is_named(found), f"not found: {made}; {found.findings[:3]}")
    tally.count(made.table.name)
    if made.table.name.endswith("_v1"):
        missed = look(store, work=verify_log).ok
        tally.control("a changed view, looked for in the log alone", noticed=missed)
    _put(intruder, table, made.after, made.before)


def _make(intruder: Intruder, rng: random.Random, table: Kept, row: Row) -> Change | None:
    """A change of one column, None when the database refuses it or there is nothing to change."""
    place = rng.choice([each for each, value in enumerate(row) if value is not None])
    after = (*row[:place], change(rng, row[place]), *row[place + 1 :])
    try:
        _put(intruder, table, row, after)
    except _REFUSED:
        return None
    return Change(table, row, after)


def _swap(intruder: Intruder, store: Store, rng: random.Random, tally: Tally) -> None:
    """What two events say, from the one to the other."""
    events = TABLES[0]
    one, other = rng.sample(_rows(intruder, events), 2)
    changed = [(*mine[:3], *its[3:]) for mine, its in ((one, other), (other, one))]
    for before, after in zip((one, other), changed, strict=True):
        _put(intruder, events, before, after)
    found = look(store)
    for before, after in zip((one, other), changed, strict=True):
        made = Change(events, before, after)
        tally.expect(made.is_named(found), f"swapped, not found: {before[0]}")
        _put(intruder, events, after, before)


def _remove(intruder: Intruder, store: Store, rng: random.Random, tally: Tally) -> None:
    """A row of each table, but those that are disposable, and the last event."""
    for table in TABLES:
        rows = _rows(intruder, table)
        if table.name == "events":
            rows = sorted(rows, key=lambda row: int(row[0] or 0))[:-1]
        if table.name == "snapshots" or not rows:
            continue
        row = rng.choice(rows)
        _delete(intruder, table, row)
        found = look(store)
        tally.expect(Change(table, row, row).is_named(found), f"removed, not found: {table.name}")
        _insert_row(intruder, table, row)


def _insert(intruder: Intruder, store: Store, rng: random.Random, tally: Tally) -> None:
    """A row in each table, much like one that is there."""
    for table in TABLES:
        rows = _rows(intruder, table)
        if not rows:
            continue
        row, head = rng.choice(rows), len(_rows(intruder, TABLES[0]))
        if table.name == "events":
            row = (head + 1, "log", 99, *row[3:])
        else:
            row = tuple(
                value if name in {"position", "registered_position"} and place not in table.key
                else change(rng, value) if place in table.key or name == "user_key"
                else value
                for place, (name, value) in enumerate(zip(table.columns, row, strict=True))
            )  # fmt: skip
        try:
            _insert_row(intruder, table, row)
        except _REFUSED:
            continue
        found = look(store)
        tally.expect(Change(table, row, row).is_named(found), f"inserted, not found: {row}")
        _delete(intruder, table, row)


def _cut(intruder: Intruder, store: Store, tally: Tally) -> None:
    """The end of the log goes, and everything that followed from it with it: a new life does."""
    whole = look(store)
    intruder.run("DELETE FROM events WHERE position = ?", (whole.head,))
    found = look(store, Noted(whole.head, whole.root), verify_log)
    tally.expect(
        any(each.key == str(whole.head) for each in found.findings), "the cut was not found"
    )
    tally.control("a cut that nobody noted", noticed=look(store, work=verify_log).ok)


def _older_copy(store: Store, life: Life, directory: Path, tally: Tally) -> None:
    """A copy of before, in a database of the other kind, is whole; but not what was noted."""
    follow(store.storage)
    before = look(store)
    records, keys = directory / "log", directory / "keys"
    _export(store, records, keys)
    life.go_on(3)
    life.join("newcomer")
    follow(store.storage)
    after = look(store)
    storage, vault = storage_of(f"sqlite:///{directory}/copy.db"), Vault(MASTER)
    place = Place(storage, vault, load(settings("sqlite:///unused")).settings)
    import_log(place, records, keys, lambda _: None, move=True)
    copy = open_store(storage, vault, "ES256")
    same = look(copy)
    tally.expect(same == before, f"what was imported is otherwise: {same}")
    again = directory / "log again", directory / "keys again"
    _export(copy, *again)
    for one, other in zip((records, keys), again, strict=True):
        tally.expect(one.read_bytes() == other.read_bytes(), f"exported again: {one.name}")
    late = look(copy, Noted(after.head, after.root))
    tally.expect(bool(late.findings), "an older copy was not found")
    tally.control("an older copy, without a noted root", noticed=same.ok)
    storage.close()
    tally.expect(look(store, Noted(before.head, before.root)).ok, "it doesn't extend its past")
    another = look(store, Noted(before.head, "0" * 64))
    tally.expect(not another.ok, "another past was not found")


def _export(store: Store, records: Path, keys: Path) -> None:
    with store.storage.snapshot() as rows, records.open("wb") as out, keys.open("wb") as wrapped:
        end = export_log(rows, out, lambda _: None, store.ring.log)
        export_keys(rows, wrapped, end, store.ring.log)


def _nothing(store: Store, rng: random.Random, intruder: Intruder) -> bool:
    """Whether a row that is as it was is found."""
    table = rng.choice(TABLES)
    row = rng.choice(_rows(intruder, table) or [(None,) * len(table.columns)])
    return Change(table, row, row).is_named(look(store))


def _rows(intruder: Intruder, table: Kept) -> list[Row]:
    return intruder.run(f"SELECT {', '.join(table.columns)} FROM {table.name} WHERE {table.which}")


def _put(intruder: Intruder, table: Kept, row: Row, new: Row) -> None:
    changes = ", ".join(f"{name} = ?" for name in table.columns)
    where, key = _where(table, row)
    intruder.run(f"UPDATE {table.name} SET {changes} WHERE {where}", (*new, *key))


def _delete(intruder: Intruder, table: Kept, row: Row) -> None:
    where, key = _where(table, row)
    intruder.run(f"DELETE FROM {table.name} WHERE {where}", key)


def _insert_row(intruder: Intruder, table: Kept, row: Row) -> None:
    marks = ", ".join("?" * len(row))
    intruder.run(f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({marks})", row)


def _where(table: Kept, row: Row) -> tuple[str, Sequence[Value]]:
    names = " AND ".join(f"{table.columns[place]} = ?" for place in table.key)
    return names, [row[place] for place in table.key]
