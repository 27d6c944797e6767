"""Whether two copies of a view hold the same rows, byte for byte, on whatever storage each is.

Rows are read in the order of their keys, so that nothing here grows with them. Knows no view.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from projections.naming import base_of
from projections.projection import Projection
from projections.storage import Row, Rows, Value

_encode = msgspec.json.Encoder().encode

Told = Callable[[int], None]
"""Hears how many more rows were read."""


class Difference(NamedTuple):
    """A row that two copies don't agree on: its key, and what is wrong with it in the first."""

    key: str
    detail: str


def digest(rows: Rows, projection: Projection, told: Told = lambda _: None) -> str:
    """`sha256:HEX` over every row as a JSON array and a line end, in the order of the keys."""
    whole = hashlib.sha256()
    for some in _pieces(rows, projection):
        whole.update(b"".join(_encode(row) + b"\n" for row in some))
        told(len(some))
    return f"sha256:{whole.hexdigest()}"


def differences(
    found: Rows, right: Rows, projection: Projection, told: Told = lambda _: None
) -> Iterator[Difference]:
    """Where the first copy differs from the second, in the order of the keys."""
    here, there = _rows(found, projection, told), _rows(right, projection, lambda _: None)
    one, other = next(here, None), next(there, None)
    while one is not None or other is not None:
        if other is None or (one is not None and _order(one[0]) < _order(other[0])):
            assert one is not None  # noqa: S101 - one of them is there
            yield Difference(str(one[0]), "is too many")
            one = next(here, None)
        elif one is None or _order(other[0]) < _order(one[0]):
            yield Difference(str(other[0]), "is missing")
            other = next(there, None)
        else:
            if one != other:
                yield Difference(str(one[0]), f"differs in column {_differing(one, other)}")
            one, other = next(here, None), next(there, None)


def _pieces(rows: Rows, projection: Projection) -> Iterator[list[Row]]:
    table = base_of(projection.name, projection.version)
    return rows.scan(f"SELECT * FROM {table} ORDER BY {projection.key}")


def _rows(rows: Rows, projection: Projection, told: Told) -> Iterator[Row]:
    for some in _pieces(rows, projection):
        yield from some
        told(len(some))


def _order(key: Value) -> tuple[int, bytes | int]:
    """As the storage orders keys."""
    return (0, key) if isinstance(key, int) else (1, str(key).encode())


def _differing(one: Row, other: Row) -> str:
    columns = [str(at) for at, (a, b) in enumerate(zip(one, other, strict=True), 1) if a != b]
    return ", ".join(columns)
