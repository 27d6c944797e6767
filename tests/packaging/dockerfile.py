"""A Dockerfile and a .dockerignore, read as a builder reads them.

Knows the syntax as far as ours use it, and nothing of what should stand there.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_FLAG: Final = re.compile(r"--([a-z-]+)(?:=(\S+))?\s+")
_WILD: Final = re.compile(r"\*\*/|\*\*|\*|\?|[^*?]+")
_WILDCARDS: Final = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class Instruction(NamedTuple):
    """One instruction; `comment` is what stands above the paragraph that it is in."""

    word: str
    flags: dict[str, str]
    text: str
    line: int
    comment: str

    @property
    def words(self) -> list[str]:
        """What it says, as a list: JSON's, or a shell's."""
        if self.text.startswith("["):
            given: list[str] = json.loads(self.text)
            return given
        return shlex.split(self.text)

    @property
    def commands(self) -> list[str]:
        """What a `RUN` runs, one after another."""
        return [each.strip() for each in self.text.split("&&")]


class Stage(NamedTuple):
    """One stage: its name, the image or stage that it begins with, and its instructions."""

    name: str
    base: str
    instructions: list[Instruction]

    def all(self, word: str) -> list[Instruction]:
        """Every instruction of a kind."""
        return [each for each in self.instructions if each.word == word]

    def last(self, word: str) -> Instruction:
        """The one that counts."""
        return self.all(word)[-1]

    def environment(self) -> dict[str, str]:
        """What `ENV` sets."""
        pairs = [pair for each in self.all("ENV") for pair in each.words]
        return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def instructions(text: str) -> list[Instruction]:
    """Every instruction, in order."""
    found, comment, part, begun = [], "", "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not part and not line.strip():
            comment = ""
        elif line.startswith("#"):
            comment += line.lstrip("# ")
        else:
            begun = begun or number
            part += line.removesuffix("\\").strip() + " "
            if not line.endswith("\\"):
                found.append(_instruction(part, begun, comment))
                part, begun = "", 0
    return found


def _instruction(text: str, line: int, comment: str) -> Instruction:
    word, _, rest = text.strip().partition(" ")
    flags: dict[str, str] = {}
    while flag := _FLAG.match(rest):
        flags[flag[1]] = flag[2] or ""
        rest = rest[flag.end() :]
    return Instruction(word, flags, rest, line, comment)


def stages(text: str) -> list[Stage]:
    """Every stage, in order; the last one is the image."""
    found: list[Stage] = []
    for each in instructions(text):
        if each.word == "FROM":
            base, _, name = each.text.partition(" AS ")
            found.append(Stage(name, base, []))
        else:
            found[-1].instructions.append(each)
    return found


class Ignored:
    """What a .dockerignore keeps from the builder: the last pattern that fits a path decides."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        self._rules = [
            (not line.startswith("!"), _pattern(line.removeprefix("!")))
            for line in lines
            if line and not line.startswith("#")
        ]

    def __contains__(self, path: str) -> bool:
        """Whether a path, relative to the context, is kept back."""
        ignored = False
        for ignores, pattern in self._rules:
            if pattern.fullmatch(path):
                ignored = ignores
        return ignored

    def let_through(self, root: Path, source: str) -> Iterator[str]:
        """The files that the builder gets of a file or a folder, by their paths in `root`."""
        place = root / source
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_file() and name not in self:
                yield name


def _pattern(line: str) -> re.Pattern[str]:
    """A pattern fits a path, and all that lies in it."""
    parts = (_WILDCARDS.get(part) or re.escape(part) for part in _WILD.findall(line.strip("/")))
    return re.compile("".join(parts) + "(?:/.*)?")
