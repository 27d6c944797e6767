"""What the proofs came to: kept in files between runs, and told as a table.

Knows no property, and runs nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tests.prove.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

HEAD: Final = ("property", "tried", "violations", "control", "seconds")


class Entry(msgspec.Struct):
    """What one property on one store has come to; `source` says of which code."""

    source: str
    tally: Tally
    size: int = 0
    """How often it has to be tried."""

    @property
    def shows(self) -> bool:
        """It holds, and was tried as often as it has to be by what is known to notice a breach."""
        tally = self.tally
        enough = tally.tried >= self.size > 0 and not tally.untried
        return tally.holds and enough and bool(tally.controls)


class Result(NamedTuple):
    """A line of the table: an entry, of which proof, and what is to be said of it besides."""

    name: str
    kind: str
    form: str
    """The empty text for the full size, else `short`, or how many hours."""
    entry: Entry
    remark: str = ""

    @property
    def file(self) -> str:
        """The name under which it is kept."""
        return "-".join(filter(None, (self.name, self.kind, self.form))) + ".json"


def kept(folder: Path, name: str) -> Iterator[Result]:
    """All that is kept of one proof, of whatever source."""
    for path in sorted(folder.glob(f"{name}-*.json")):
        entry = read(path)
        _, kind, form = f"{path.stem}-".split("-", 2)
        if entry is not None:
            yield Result(name, kind, form.removesuffix("-"), entry)


def read(path: Path) -> Entry | None:
    """None where there is nothing, or nothing that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Entry)
    except (OSError, msgspec.DecodeError):
        return None


def keep(path: Path, entry: Entry) -> None:
    """Whole, or as it was before: whoever ends the program may do so at any moment."""
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(entry))
    new.replace(path)


def tell(results: Sequence[tuple[Result, str]]) -> None:
    """The table to stdout, each with what its property is; to stderr what was found besides."""
    if not results:
        return
    table = [HEAD, *(_row(result, what) for result, what in results)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print(" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))


def _row(result: Result, what: str) -> tuple[str, ...]:
    name, kind, form, entry, remark = result
    tally, size = entry.tally, entry.size
    tried = f"{tally.tried}" if tally.tried >= size else f"{tally.tried} of {size}, unfinished"
    tried = "; ".join(filter(None, (tried, *tally.untried, remark)))
    missed = [each for each, noticed in tally.controls.items() if not noticed]
    control = "noticed" if tally.controls else "NONE" if tally.tried else "-"
    control = f"MISSED: {', '.join(missed)}" if missed else control
    for each in _besides(tally):
        say(f"{name} {kind}: {each}")
    where = f"{name} ({', '.join(filter(None, (kind, form)))}): {what}"
    return where, tried, str(tally.violations), control, f"{tally.seconds:.0f}"


def _besides(tally: Tally) -> Iterator[str]:
    for each, number in sorted(tally.counts.items()):
        yield f"{number:,} {each}"
    for each, value in sorted(tally.figures.items()):
        yield f"{each}: at most {value:.3f}"
    yield from tally.lines
    for each in tally.first:
        yield f"VIOLATION: {each}"


def say(line: str) -> None:
    """Tell whoever watches."""
    print(line, file=sys.stderr, flush=True)
