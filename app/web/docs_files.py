"""Which files are the documentation, and under which path each is served.

Knows nothing of what they say.
"""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Final, NamedTuple

HOME: Final = "/docs"
MAP: Final = "docs/README.md"
"""The page that lists all others, in the order in which they are shown."""
PICTURES: Final = ("docs/model.svg", "docs/rotation.svg")
"""The model, drawn from the code, and rules for rotating, drawn from figures."""

_BESIDE: Final = {
    "README.md": ("readme", "What it is"),
    "CHANGELOG.md": ("changes", "Changes"),
    "CONTRIBUTING.md": ("contributing", "Working on Gatebook"),
    "LICENSE": ("licence", "Licence"),
    "clients/python/README.md": ("python-client", "The Python client"),
    "clients/javascript/README.md": ("javascript-client", "The JavaScript client"),
}
"""What lies elsewhere in the project: its name in an address, and its title here."""
_SECTIONS: Final = {
    "tutorial": "Learn it",
    "how-to": "Get something done",
    "reference": "Look something up",
    "explanation": "Understand it",
    "adr": "Decisions",
    "project": "The project",
}
"""What the parts of the documentation are called, by folder, in the order of the side."""
_APP: Final = Path(__file__).parents[1]


class File(NamedTuple):
    """A file of the documentation: its path in the project, its address, and its section.

    `title` is the empty text where its first heading is one.
    """

    name: str
    path: str
    section: str
    title: str = ""


def root() -> Path:
    """The folder of the project, or that of its copy in an installed one."""
    installed = _APP / "_docs"
    return installed if installed.is_dir() else _APP.parent


def files(folder: Path) -> list[File]:
    """Every file of the documentation that there is below the folder."""
    pages = sorted(each.relative_to(folder).as_posix() for each in folder.glob("docs/**/*.md"))
    beside = [name for name in _BESIDE if (folder / name).is_file()]
    return [_file(name) for name in (*pages, *beside)]


def _file(name: str) -> File:
    if name in _BESIDE:
        last, title = _BESIDE[name]
        return File(name, f"{HOME}/project/{last}", _SECTIONS["project"], title)
    path = "/" + name.removesuffix(".md").removesuffix("/README")
    return File(name, path, _SECTIONS.get(posixpath.dirname(name).partition("/")[2], ""))


def sections() -> list[str]:
    """The names of the sections, in order."""
    return list(_SECTIONS.values())


def target(source: str, link: str) -> tuple[str, str]:
    """The file that a link in a file leads to, by its path in the project, and the anchor."""
    path, _, anchor = link.partition("#")
    return posixpath.normpath(
        posixpath.join(posixpath.dirname(source), path)
    ) if path else source, anchor
