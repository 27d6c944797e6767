"""What a proof needs besides what every test does: programs, and a machine for itself.

Read off what it runs, so that nobody has to remember it. Knows no property.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

from tests.clients_javascript import package
from tests.prove.sources import ROOT, sources
from tests.prove.tally import Untried

ALONE: Final = "a machine for itself"
NODE: Final = "Node.js with npm"
CHROMIUM: Final = "Chromium"

_OF_PROGRAMS: Final = {
    "tests/prove/disk.py": "`cc`",
    "tests/clients_javascript/package.py": NODE,
    "tests/prove/fuzz_atheris.py": "atheris",
}
"""What is needed by whoever runs that module."""
_OF_TIMES: Final = frozenset({"tests/prove/in_time.py", "tests/prove/ranks.py"})
"""Modules that judge how long something takes."""
_LIMIT: Final = "IN_TIME_S"
"""What a proof calls the limit of how long something takes, where it has one of its own."""
_BESIDES: Final = {
    "client_javascript": (CHROMIUM,),
    "hostile_bytes": (ALONE,),
    "long_lived": (ALONE,),
}
"""What can't be read off."""


def needs(name: str) -> list[str]:
    """In words, the programs first."""
    ran = {path.relative_to(ROOT).as_posix() for path in sources(name)}
    found = [what for module, what in _OF_PROGRAMS.items() if module in ran]
    if _OF_TIMES & ran or _has_a_limit(ROOT / "tests" / "prove" / f"{name}.py"):
        found.append(ALONE)
    found += _BESIDES.get(name, ())
    return sorted({*found}, key=lambda what: (what == ALONE, what))


def require(name: str) -> None:
    """Raises `Untried` where it lacks something without which none of it can be tried."""
    if name == "client_javascript":
        lacking = package.lacking()
        if not lacking and not package.CHROMIUM.exists():
            lacking = f"there is no {package.CHROMIUM} here, for the tabs"
        if lacking:
            raise Untried(lacking)


def _has_a_limit(path: Path) -> bool:
    """Whether a module compares with what it calls a limit of time."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    compared = (node for node in ast.walk(tree) if isinstance(node, ast.Compare))
    names = (each for node in compared for each in ast.walk(node) if isinstance(each, ast.Name))
    return any(each.id == _LIMIT for each in names)
