"""Whether two copies of a view are the same, row by row, and a digest that says which copy it is.

A view's tables, their columns and keys are read from its DDL. Rows are taken in the order of
their keys, text by its bytes, so that a digest is the same on SQLite and PostgreSQL. Knows no
view and no event.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, Literal, NamedTuple

import msgspec

from projections.projection import Projection
from projections.storage import Row, Rows, Value

Told = Callable[[int], None]
"""Hears how many more rows were read."""
How = Literal["changed", "missing", "extra"]

_TABLE: Final = re.compile(r"\s*CREATE TABLE (?:IF NOT EXISTS )?(\w+) \((.*)\)\s*", re.DOTALL)
_PART: Final = re.compile(r",\s*(?![^(]*\))")
_KEY: Final = re.compile(r"PRIMARY KEY \(([^)]*)\)")
_NO_COLUMN: Final = ("UNIQUE", "CHECK", "FOREIGN", "CONSTRAINT")

_HOW: Final = {"missing": "is missing", "extra": "is too many"}

_encode = msgspec.json.Encoder().encode


class Table(NamedTuple):
    """A table of a view; `key` are the places of the primary key's columns."""

    name: str
    columns: tuple[str, ...]
    key: tuple[int, ...]
    select: str

    def key_of(self, row: Row) -> tuple[Value, ...]:
        """What names a row."""
        return tuple(row[place] for place in self.key)


class Difference(NamedTuple):
    """A row that isn't as in the other copy; `columns` are those that differ in a changed one.

    A missing one is only in the other copy, an extra one isn't.
    """

    table: str
    key: tuple[Value, ...]
    how: How
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        how = _HOW.get(self.how) or f"differs in {', '.join(self.columns)}"
        return f"{spelled(*self.key)} {how}"


def spelled(*key: Value) -> str:
    """A key's columns as text, bytes in hexadecimal."""
    return " ".join(each.hex() if isinstance(each, bytes) else str(each) for each in key)


def tables_of(projection: Projection) -> list[Table]:
    """The tables of a view, in the order in which they are made."""
    found = (_TABLE.fullmatch(statement) for statement in projection.tables)
    return [_table(each[1], each[2]) for each in found if each is not None]


def digest(rows: Rows, projection: Projection, told: Told = lambda _: None) -> str:
    """`sha256:` and the hash over every row in the order of keys: a JSON array and a line end."""
    found = hashlib.sha256()
    for table in tables_of(projection):
        for batch in rows.scan(table.select):
            found.update(b"".join([_encode(row) + b"\n" for row in batch]))
            told(len(batch))
    return f"sha256:{found.hexdigest()}"


def differences(
    live: Rows, fresh: Rows, projection: Projection, told: Told = lambda _: None
) -> Iterator[Difference]:
    """What is otherwise in a live view than in a fresh fold, in the order of keys."""
    for table in tables_of(projection):
        yield from _differences(table, live, fresh, told)


def _differences(table: Table, live: Rows, fresh: Rows, told: Told) -> Iterator[Difference]:
    here = _telling(live.scan(table.select), told)
    there = chain.from_iterable(fresh.scan(table.select))
    one, other = next(here, None), next(there, None)
    while one is not None or other is not None:
        if one == other:
            one, other = next(here, None), next(there, None)
            continue
        order = _order(table, one, other)
        if order == 0 and one is not None and other is not None:
            pairs = zip(table.columns, one, other, strict=True)
            columns = tuple(name for name, mine, its in pairs if mine != its)
            yield Difference(table.name, table.key_of(one), "changed", columns)
            one, other = next(here, None), next(there, None)
        elif order < 0 and one is not None:
            yield Difference(table.name, table.key_of(one), "extra")
            one = next(here, None)
        elif other is not None:
            yield Difference(table.name, table.key_of(other), "missing")
            other = next(there, None)


def _telling(batches: Iterator[list[Row]], told: Told) -> Iterator[Row]:
    for batch in batches:
        told(len(batch))
        yield from batch


def _order(table: Table, one: Row | None, other: Row | None) -> int:
    """Below 0 when the first row comes first; none comes last."""
    if one is None or other is None:
        return 1 if one is None else -1
    mine, its = (tuple(map(_ranked, table.key_of(row))) for row in (one, other))
    return (mine > its) - (mine < its)


def _ranked(value: Value) -> tuple[int, Value]:
    """Values of any kind in SQLite's order: a column may hold what it must not."""
    match value:
        case None:
            return 0, 0
        case str():
            return 2, value
        case bytes():
            return 3, value
        case _:
            return 1, value


def _table(name: str, content: str) -> Table:
    columns: list[str] = []
    key: list[str] = []
    texts: set[str] = set()
    for part in _PART.split(content):
        text = part.strip()
        if found := _KEY.fullmatch(text):
            key = [each.strip() for each in found[1].split(",")]
        elif not text.startswith(_NO_COLUMN):
            column, kind = text.split()[:2]
            columns.append(column)
            if "PRIMARY KEY" in text:
                key = [column]
            if kind == "TEXT":
                texts.add(column)
    if not key:
        msg = f"the table {name} has no primary key to be compared by"
        raise ValueError(msg)
    order = ", ".join(f"{each} COLLATE BINARY" if each in texts else each for each in key)
    select = f"SELECT {', '.join(columns)} FROM {name} ORDER BY {order}"
    return Table(name, tuple(columns), tuple(map(columns.index, key)), select)
