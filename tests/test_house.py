"""The rules of the house: what lies where, how long a file gets, what a name may not be."""

from __future__ import annotations

import ast
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from re import MULTILINE
from types import SimpleNamespace
from typing import NamedTuple, cast

import pytest

from tests.choosing import KINDS, short

ROOT = Path(__file__).parents[1]
PACKAGES = ("app", "domain", "projections")
LIKE_OURS = ("tests/prove/", "tests/simulation/")
"""What is read as the product is, to know what its proofs prove."""
TOP = {
    *PACKAGES,
    *("tests", "docs", "clients"),
    *("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"),
    *("pyproject.toml", "requirements.lock", "run"),
    *("Dockerfile", "compose.yaml", "compose.postgresql.yaml", "compose.postgresql.sql"),
    "compose.previous-key.yaml",
}
LONGEST = 400
LONGER_FOR_A_REASON = {
    "app/settings.py": "one table: each setting with its default, its form and its help",
}
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "common", "misc", "base"}
CHECKS = {"holds", "raises", "refuse", "refused", "then"}
LOCKS = ("requirements.lock", "tests/requirements.lock")


def ignored(path: Path) -> bool:
    """Whether a file or folder is none of the project's."""
    return path.name == ".git" or any(
        fnmatch(path.name, pattern.rstrip("/")) for pattern in IGNORED if pattern
    )


def files(folder: Path = ROOT) -> list[str]:
    """Every file of the project, by its path in it."""
    found: list[str] = []
    for path in sorted(folder.iterdir()):
        if ignored(path):
            continue
        found += files(path) if path.is_dir() else [path.relative_to(ROOT).as_posix()]
    return found


IGNORED = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
FILES = files()
SOURCES = [name for name in FILES if name.endswith(".py")]
OURS = [name for name in SOURCES if name.startswith(PACKAGES)]
MEASURED = [*OURS, *(name for name in SOURCES if name.startswith(LIKE_OURS))]
TESTS = [name for name in SOURCES if Path(name).name.startswith("test_")]


def text(name: str) -> str:
    """What a file says."""
    return (ROOT / name).read_text(encoding="utf-8")


def locked(name: str) -> dict[str, str]:
    """The versions in a lock."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text(name), MULTILINE))


def checks_something(node: ast.AST) -> bool:
    """Whether it asserts, or calls or is what does so for it."""
    if isinstance(node, ast.Assert | ast.ClassDef):
        return True
    if not isinstance(node, ast.Call):
        return False
    called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
    return called in CHECKS or called.startswith(("assert_", "expect_"))


def test_the_files_were_found() -> None:
    assert {"app/settings.py", "domain/events.py", "projections/storage.py"} <= set(OURS)
    assert {"tests/prove/__main__.py", "tests/simulation/world.py"} <= set(MEASURED)
    assert "tests/test_house.py" in TESTS


def test_nothing_lies_around_at_the_top() -> None:
    tops = {name.split("/", 1)[0] for name in FILES}
    assert {top for top in tops if not top.startswith(".")} - TOP == set()


def test_no_file_grows_past_its_noun() -> None:
    long = {name for name in MEASURED if len(text(name).splitlines()) > LONGEST}
    assert long == set(LONGER_FOR_A_REASON)


def test_every_name_says_what_it_is() -> None:
    parts = {part.removesuffix(".py") for name in SOURCES for part in name.split("/")}
    assert parts & NAMES_THAT_SAY_NOTHING == set()


@pytest.mark.parametrize("name", SOURCES)
def test_a_module_says_in_one_sentence_what_it_is_for(name: str) -> None:
    told = ast.get_docstring(ast.parse(text(name)))
    assert told, name
    assert re.search(r"[.!?:]$", told.split("\n\n", 1)[0].rstrip()), told


@pytest.mark.parametrize("name", TESTS)
def test_a_test_can_fail(name: str) -> None:
    tree = ast.parse(text(name))
    assert any(checks_something(node) for node in ast.walk(tree))


@pytest.mark.parametrize("name", [*LOCKS, "tests/prove/requirements.lock"])
def test_a_lock_names_versions_and_hashes_and_no_address(name: str) -> None:
    lock = text(name)
    assert not re.search(r"://|^-|/(home|root|tmp|var)/|\.(com|org|io|net)\b", lock, MULTILINE)
    entries = re.findall(r"^\w", lock, MULTILINE)
    hashed = re.findall(r"^[a-z0-9-]+==[^\\\n]+\\\n    --hash=sha256:[0-9a-f]{64}", lock, MULTILINE)
    assert len(entries) == len(hashed) > 0


def test_the_locks_agree_with_each_other() -> None:
    runtime, tests = (locked(name) for name in LOCKS)
    assert {name for name in runtime.keys() & tests.keys() if runtime[name] != tests[name]} == set()


def test_everything_that_is_asked_for_is_locked() -> None:
    asked = tomllib.loads(text("pyproject.toml"))
    project, groups = asked["project"], asked["dependency-groups"]
    runtime = project["dependencies"] + project["optional-dependencies"]["postgresql"]
    for name, wanted in zip(LOCKS, (runtime, groups["test"]), strict=True):
        names = {re.split(r"[\[<>=~!]", each, maxsplit=1)[0] for each in wanted}
        assert names - locked(name).keys() == set()


class Item(NamedTuple):
    """Stands for a test that pytest collected."""

    nodeid: str
    kind: str
    long: bool

    @property
    def callspec(self) -> SimpleNamespace:
        return SimpleNamespace(params={"database_url": self.kind})

    def get_closest_marker(self, name: str) -> bool:
        return self.long and name == "long"


def chosen(*names: str, long: bool = False) -> set[str]:
    """Which of the tests for each store are in the short form."""
    items = [Item(f"{name}[{kind}]", kind, long) for name in names for kind in KINDS]
    return {item.nodeid for item in short(cast("list[pytest.Item]", items))}


def test_the_short_form_leaves_out_what_is_long_and_one_of_two_stores() -> None:
    here, deep = "tests/http/test_a.py::test_one", "tests/stores/test_b.py::test_two"
    assert chosen(here, long=True) == set()
    assert len(chosen(here)) == 1
    assert len(chosen(deep)) == len(KINDS)
    kinds = {kind[-3:] + "]" for kind in KINDS}
    of_a_file = [f"{here}{number}" for number in range(20)]
    assert len({each[-4:] for each in chosen(*of_a_file)}) == 1
    of_files = [here.replace("_a", f"_a{number}") for number in range(20)]
    assert {each[-4:] for each in chosen(*of_files)} == kinds
