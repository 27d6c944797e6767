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
_ALWAYS: Final = (
    *_PRODUCT,
    "tests/breaches",
    "tests/server.py",
    "tests/postgres.py",
    "requirements.lock",
    "tests/requirements.lock",
    "tests/prove/requirements.lock",
)
"""Of every proof: folders of source, and files."""
_READ: Final = {
    "tests/prove/disk.py": ("tests/prove/disk.c",),
    "tests/prove/described.py": ("tests/golden/openapi.json",),
    "tests/stores/kept.py": ("tests/stores/v*/*/*",),
    "tests/clients_javascript/package.py": (
        "clients/javascript/.npmrc",
        "clients/javascript/*.json",
        "clients/javascript/*.config.ts",
        "clients/javascript/src/**/*.ts",
        "clients/javascript/test/*.mjs",
        "clients/javascript/test/programs/*.mjs",
    ),
}
"""What is no module of the tests, of whoever runs that one: patterns."""
_CLIENT: Final = "gatebook_client"
_OF_CLIENT: Final = "clients/python/gatebook_client/**/*.py"
"""Of whoever imports anything of it."""
_MODULE: Final = re.compile(rf"(tests|{_CLIENT})(\.\w+)*")


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
    return sorted(found)


@cache
def _always() -> tuple[Path, ...]:
    found: list[Path] = []
    for name in _ALWAYS:
        path = ROOT / name
        found += filter(_is_source, path.rglob("*")) if path.is_dir() else [path]
    return tuple(found)


def _is_source(path: Path) -> bool:
    """Of the product every file; of the tests those that are programs."""
    if "__pycache__" in path.parts or not path.is_file():
        return False
    return path.relative_to(ROOT).parts[0] in _PRODUCT or path.suffix == ".py"


@cache
def _needed(path: Path) -> tuple[Path, ...]:
    """What a file of the tests imports, names to have it run, or reads."""
    place = path.relative_to(ROOT)
    if path.suffix != ".py" or place.parts[0] != "tests":
        return ()
    found = [*_matching(*_READ.get(place.as_posix(), ()))]
    for module in _named(ast.parse(path.read_text(encoding="utf-8"))):
        found += _files(module)
    return tuple(found)


def _matching(*patterns: str) -> Iterator[Path]:
    for pattern in patterns:
        yield from filter(Path.is_file, ROOT.glob(pattern))


def _named(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)) if _MODULE.fullmatch(module):
                yield module
                yield from (f"{module}.{each.name}" for each in node.names)
            case ast.Import():
                yield from (each.name for each in node.names if _MODULE.fullmatch(each.name))
            case ast.Constant(value=str(text)) if _MODULE.fullmatch(text):
                yield text


def _files(module: str) -> Iterator[Path]:
    """Of a module or a package, and of those that it is in; none of what is only a name in one."""
    place, parts = ROOT, module.split(".")
    if parts[0] == _CLIENT:
        yield from _matching(_OF_CLIENT)
        return
    for part in parts:
        place /= part
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.exists():
                yield path
