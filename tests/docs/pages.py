"""The documentation as files: which pages there are, their fences, headings and links.

Knows nothing of what the pages say.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"
PAGES: Final = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))

_FENCE: Final = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_PART: Final = re.compile(r"^## +(.+?) *$", re.MULTILINE)
_FILE: Final = re.compile(r"`((?:app|domain|projections|tests)/[\w/.-]+)(?:::(\w+))?`")


class Fence(NamedTuple):
    """A fenced block: its language, its text, the line on which it begins, and what is said of it.

    `before` is the prose since the block before.
    """

    language: str
    text: str
    line: int
    before: str = ""


class Named(NamedTuple):
    """A file of the source that a page names, and a function in it, or the empty text."""

    path: str
    function: str


def read(page: Path) -> str:
    """What a page says."""
    return page.read_text(encoding="utf-8")


def name(page: Path) -> str:
    """A page's path in the project."""
    return page.relative_to(ROOT).as_posix()


def fences(page: Path) -> list[Fence]:
    """The fenced blocks, in order."""
    text, found, end = read(page), [], 0
    for each in _FENCE.finditer(text):
        line = text.count("\n", 0, each.start()) + 1
        found.append(Fence(each[1], each[2], line, text[end : each.start()]))
        end = each.end()
    return found


def parts(page: Path) -> dict[str, list[Fence]]:
    """The fenced blocks under each heading of the second level, in order."""
    heads = [
        (found[1], read(page).count("\n", 0, found.start()) + 1)
        for found in _PART.finditer(read(page))
    ]
    ends = [*(line for _, line in heads[1:]), sys.maxsize]
    return {
        heading: [each for each in fences(page) if line < each.line < end]
        for (heading, line), end in zip(heads, ends, strict=True)
    }


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", read(page))


def links(page: Path) -> list[str]:
    """Where its links lead."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The names under which its headings can be linked."""
    return {anchor(heading) for heading in _HEADING.findall(prose(page))}


def anchor(heading: str) -> str:
    """The name of one heading, as the common hosts of such pages make it."""
    kept = "".join(each for each in heading.lower() if each.isalnum() or each in " -_")
    return kept.replace(" ", "-")


def files_named(page: Path) -> list[Named]:
    """The files of the source that it names, as `path/file.py` or `path/file.py::function`."""
    return [Named(*found) for found in _FILE.findall(prose(page))]
