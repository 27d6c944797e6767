"""Does in a folder what a fence of a page says: writes a file, or changes files that are there.

`python -m tests.docs.applying FENCE` does so where it is run. The first line of a file's fence is
`# PATH`. A fence of changes has `--- PATH` before those of each file, and `@@` before each; what a
change takes away or stands beside must be in the file exactly once. Knows no page.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_FILE: Final = re.compile(r"# (\S+)\n")
_CHANGED: Final = re.compile(r"^--- (\S+)\n(?:\+\+\+ .*\n)?", re.MULTILINE)
_PART: Final = re.compile(r"^@@.*\n", re.MULTILINE)


class Wrong(Exception):
    """A fence can't be applied: the page and what it is about have parted."""


class Change(NamedTuple):
    """Lines of a file, and what is to stand there."""

    path: str
    before: str
    after: str


def apply(text: str, folder: Path) -> None:
    """Do in the folder what a fence says; raises `Wrong`."""
    if _CHANGED.match(text):
        for change in changes(text):
            _change(folder / change.path, change)
        return
    named = _FILE.match(text)
    if named is None:
        msg = f"say in the first line which file this is: {text.partition(chr(10))[0]}"
        raise Wrong(msg)
    path = folder / named[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text[named.end() :], encoding="utf-8")


def changes(text: str) -> Iterator[Change]:
    """The changes of a fence, in order."""
    _, *files = _CHANGED.split(text)
    for path, content in zip(files[::2], files[1::2], strict=True):
        _, *parts = _PART.split(content)
        if not parts:
            msg = f"nothing is changed in {path}"
            raise Wrong(msg)
        for part in parts:
            lines = part.splitlines(keepends=True)
            before = "".join(line[1:] or "\n" for line in lines if not line.startswith("+"))
            after = "".join(line[1:] or "\n" for line in lines if not line.startswith("-"))
            yield Change(path, before, after)


def _change(path: Path, change: Change) -> None:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    whole_lines = re.compile(f"^{re.escape(change.before)}", re.MULTILINE)
    times = len(whole_lines.findall(text)) if change.before else 0
    if times != 1:
        msg = f"{change.path} has this {times} times:\n{change.before}"
        raise Wrong(msg)
    path.write_text(whole_lines.sub(lambda _: change.after, text), encoding="utf-8")


if __name__ == "__main__":
    try:
        apply(Path(sys.argv[1]).read_text(encoding="utf-8"), Path.cwd())
    except Wrong as error:
        sys.exit(str(error))
