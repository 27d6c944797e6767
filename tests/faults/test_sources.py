"""What a proof found counts as long as nothing has changed that it runs."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tests.prove.__main__ import ROOT, sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCKS = ("requirements.lock", "tests/requirements.lock")


def modules(path: Path) -> Iterator[Path]:
    """The files of the tests that one of them imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tests":
            place = ROOT / str(node.module).replace(".", "/")
            for name in node.names:
                module = place / f"{name.name}.py"
                yield module if module.exists() else place.with_suffix(".py")


def test_a_change_of_any_module_that_a_proof_imports_makes_it_begin_anew() -> None:
    known = {*sources()}
    imported = {module for path in known if path.suffix == ".py" for module in modules(path)}
    assert ROOT / "tests" / "running.py" in imported
    assert imported - known == set()


def test_a_change_of_any_file_of_the_product_makes_it_begin_anew() -> None:
    """Templates, scripts and data of a page too."""
    product = {
        path
        for name in ("app", "domain", "projections")
        for path in (ROOT / name).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert {path.suffix for path in product} > {".py", ".js", ".css"}
    assert product - {*sources()} == set()


def test_a_change_of_the_server_or_of_a_version_makes_it_begin_anew() -> None:
    assert {ROOT / name for name in ("tests/server.py", *LOCKS)} - {*sources()} == set()
