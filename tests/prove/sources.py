"""What decides what a proof finds: the product, and what the proof runs of the tests.

A proof begins anew when any of it changes, and not when another proof does. Knows no property.
"""

from __future__ import annotations

import ast
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent.parent

_PRODUCT: Final = ("app", "domain", "projections")
_PROGRAMS: Final = frozenset({".py", ".c", ".ts", ".mjs"})
_ALWAYS: Final = (
    *_PRODUCT,
    "tests/breaches",
    "tests/server.py",
    "tests/postgres.py",
    "tests/prove/disk.c",
    "tests/http/conformance_hooks.py",
    "tests/golden/openapi.json",
    "clients/python/gatebook_client",
    "clients/javascript/src",
    "clients/javascript/test/programs",
    "clients/javascript/test/pages.mjs",
    "clients/javascript/package.json",
    "clients/javascript/package-lock.json",
    "clients/javascript/tsdown.config.ts",
    "clients/javascript/tsconfig.build.json",
    "clients/javascript/tsconfig.json",
    "requirements.lock",
    "tests/requirements.lock",
    "tests/prove/requirements.lock",
)
"""Of every proof: folders of source, and files."""
_READ: Final = {"tests/stores/kept.py": "v*/*/*"}
"""Files that are no programs, of whoever runs that module: where, as seen from its folder."""
_MODULE: Final = re.compile(r"tests(\.\w+)+")


def fingerprint(name: str) -> str:
    """Another one when anything has changed that a proof runs."""
    digest = hashlib.sha256()
    for path in sources(name):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def sources(name: str) -> list[Path]:
    """Every file whose change makes the proof begin anew."""
    found = {*_always()}
    coming = [ROOT / "tests" / "prove" / f"{name}.py", *found]
    while coming:
        path = coming.pop()
        found.add(path)
        coming += [each for each in _needed(path) if each not in found]
    for reader, pattern in _READ.items():
        if ROOT / reader in found:
            read = (ROOT / reader).parent.glob(pattern)
            found |= {path for path in read if path.is_file()}
    return sorted(found)


@cache
def _always() -> tuple[Path, ...]:
    found: list[Path] = []
    for name in _ALWAYS:
        path = ROOT / name
        found += filter(_is_source, path.rglob("*")) if path.is_dir() else [path]
    return tuple(found)


def _is_source(path: Path) -> bool:
    """Of the product every file; of the tests and the clients those that are programs."""
    if "__pycache__" in path.parts or not path.is_file():
        return False
    return path.relative_to(ROOT).parts[0] in _PRODUCT or path.suffix in _PROGRAMS


@cache
def _needed(path: Path) -> tuple[Path, ...]:
    """The modules of the tests that a file of theirs imports, or names to have them run."""
    if path.suffix != ".py" or path.relative_to(ROOT).parts[0] != "tests":
        return ()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return tuple(file for module in _named(tree) for file in _files(module))


def _named(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)) if _MODULE.fullmatch(module):
                yield module
                yield from (f"{module}.{each.name}" for each in node.names)
            case ast.ImportFrom(module="tests"):
                yield from (f"tests.{each.name}" for each in node.names)
            case ast.Import():
                yield from (each.name for each in node.names if _MODULE.fullmatch(each.name))
            case ast.Constant(value=str(text)) if _MODULE.fullmatch(text):
                yield text


def _files(module: str) -> Iterator[Path]:
    """Of a module or a package, and of those that it is in; none of what is only a name in one."""
    place = ROOT
    for part in module.split("."):
        place /= part
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.exists():
                yield path
