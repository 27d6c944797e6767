"""Which table stands for a view's name: a rebuilt view has another one, and code says the first.

SQL is written with the names of build 0, `token_lookup_v1`; build 3 is `token_lookup_r3_v1`. A
build's number is never used twice. Knows no view.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from projections.storage import Kind, Row, Rows, Value

Names = tuple[tuple[str, str], ...]
"""Pairs of a view's name in code and in the store; none for those of build 0."""

AS_WRITTEN: Final[Names] = ()


def base_of(name: str, version: int) -> str:
    """What code calls a view's table; its other tables and indexes begin with it and `_`."""
    return f"{name}_v{version}"


def table_of(name: str, version: int, build: int) -> str:
    """What a build's table is called in the store."""
    return base_of(name, version) if build == 0 else f"{name}_r{build}_v{version}"


def renamed(sql: str, names: Names) -> str:
    """The same statement about other tables."""
    return _renamed(sql, names) if names else sql


@lru_cache(maxsize=4096)
def _renamed(sql: str, names: Names) -> str:
    table = dict(names)
    pattern = rf"(?<![A-Za-z0-9_])({'|'.join(table)})(?![A-Za-z0-9])"
    return re.sub(pattern, lambda found: table[found[1]], sql)


class NamedRows:
    """An open transaction or snapshot, in which the views' names stand for these tables."""

    def __init__(self, rows: Rows, names: Names) -> None:
        self._rows = rows
        self._names = names

    @property
    def kind(self) -> Kind:
        """Of the storage."""
        return self._rows.kind

    def execute(self, sql: str, params: Sequence[Value] = ()) -> None:
        """Write."""
        self._rows.execute(renamed(sql, self._names), params)

    def fetch(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        """Read every row."""
        return self._rows.fetch(renamed(sql, self._names), params)

    def scan(self, sql: str, params: Sequence[Value] = ()) -> Iterator[list[Row]]:
        """Read a long result in pieces."""
        return self._rows.scan(renamed(sql, self._names), params)

    def has_table(self, name: str) -> bool:
        """Whether the table that this name stands for is there."""
        return self._rows.has_table(renamed(name, self._names))


def named(rows: Rows, names: Names) -> Rows:
    """The rows themselves where every table is called as code calls it."""
    return NamedRows(rows, names) if names else rows
