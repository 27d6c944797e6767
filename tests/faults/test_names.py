"""Every long proof is a test too, in its short form, among those that each run has."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from tests.breaches import storing
from tests.prove.__main__ import NAMES
from tests.prove.sources import ROOT
from tests.server import BROKEN, NOUNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG: Final = "pytest.mark.long"


def tried(path: Path) -> Iterator[str]:
    """The proofs that hold in a file's tests, but for those of the long form."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    proofs = {
        alias.asname or alias.name: alias.name
        for node in module.body
        if isinstance(node, ast.ImportFrom) and node.module == "tests.prove"
        for alias in node.names
    }
    if any(isinstance(node, ast.Assign) and LONG in ast.unparse(node) for node in module.body):
        return
    for test in module.body:
        if isinstance(test, ast.FunctionDef) and LONG not in map(ast.unparse, test.decorator_list):
            for call in ast.walk(test):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "holds":
                    yield proofs.get(ast.unparse(call.args[0]), "")


def test_no_two_breaches_have_one_name() -> None:
    names = [name for noun in (*NOUNS, storing.BEFORE) for name in getattr(noun, "BREACHES", noun)]
    assert len({*names}) == len(names) > len(NOUNS)


def test_every_breach_is_switched_on_by_a_test() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")]
    used = {name for text in texts for name in re.findall(r"TEST_([A-Z_]+)", text)}
    assert {*BROKEN, *storing.BEFORE} - used == set()


def test_every_proof_has_a_short_form_that_each_run_tries() -> None:
    found = {name for path in (ROOT / "tests").rglob("test_*.py") for name in tried(path)}
    assert {*NAMES} - found == set()
