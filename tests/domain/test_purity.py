"""The rules know no clock, no randomness and no I/O."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import domain

ALLOWED = {
    "__future__",
    "collections",
    "domain",
    "functools",
    "hashlib",
    "hmac",
    "msgspec",
    "precis_i18n",
    "re",
    "typing",
    "unicodedata",
    "zlib",
}
REACHES_OUT = {"open", "print", "input", "eval", "exec", "__import__", "breakpoint"}
MODULES = sorted(Path(domain.__file__).parent.glob("*.py"))


def imported(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add((node.module or "").partition(".")[0])
    return found


def called(tree: ast.Module) -> set[str]:
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {function.id for function in calls if isinstance(function, ast.Name)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_of_rules_reaches_for_nothing_outside(path: Path) -> None:
    """Security rule 22."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert imported(tree) <= ALLOWED
    assert not called(tree) & REACHES_OUT


def test_the_modules_were_found() -> None:
    assert {"decider.py", "events.py", "refresh_token.py", "user.py"} <= {
        path.name for path in MODULES
    }
