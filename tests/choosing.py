"""Which tests `./run test` has: all but the `long` ones, each of them on one of the two stores.

Which one is told by the name of a test's file, so that both are tried throughout and what a file's
tests share is set up once; stores of earlier releases are opened on each. `./run test --long` tries
all on both.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    _ByKind = defaultdict[str, set[pytest.Item]]

KINDS: Final = ("postgresql", "sqlite")
ON_EACH: Final = ("tests/stores/",)
"""Where every test is tried on each store."""


def short(items: Iterable[pytest.Item]) -> set[pytest.Item]:
    """Those of the short form."""
    by_function: defaultdict[str, _ByKind] = defaultdict(lambda: defaultdict(set))
    for item in items:
        if not item.get_closest_marker("long"):
            by_function[item.nodeid.partition("[")[0]][_kind(item)].add(item)
    return {item for name, kinds in by_function.items() for item in _of(name, kinds)}


def _of(name: str, by_kind: _ByKind) -> set[pytest.Item]:
    kinds = sorted(set(KINDS) & set(by_kind))
    if len(kinds) == len(KINDS) and not name.startswith(ON_EACH):
        by_kind.pop(kinds[crc32(name.partition("::")[0].encode()) % len(kinds)])
    return set().union(*by_kind.values())


def _kind(item: pytest.Item) -> str:
    """The kind of store that it is tried on; the empty text where it has none to choose from."""
    parameters = getattr(item, "callspec", None)
    values = parameters.params.values() if parameters else ()
    return next((each for each in values if each in KINDS), "")
