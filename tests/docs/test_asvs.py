"""The page about ASVS: every line of the standard once, and what is said to hold it is there.

The numbers and levels are those of version 5.0.0 of OWASP's Application Security Verification
Standard.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, name, read
from tests.prove.__main__ import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE: Final = DOCS / "explanation" / "asvs.md"
LEVEL_1: Final = """
    6.1.1 6.2.1 6.2.2 6.2.3 6.2.4 6.2.5 6.2.6 6.2.7 6.2.8 6.3.1 6.3.2 6.4.1 6.4.2
    7.2.1 7.2.2 7.2.3 7.2.4 7.4.1 7.4.2
    9.1.1 9.1.2 9.1.3 9.2.1
    10.4.1 10.4.2 10.4.3 10.4.4 10.4.5
    11.3.1 11.3.2 11.4.1
    12.1.1 12.2.1 12.2.2
""".split()  # noqa: SIM905 - as the standard counts
LEVEL_2: Final = """
    6.1.2 6.1.3 6.2.9 6.2.10 6.2.11 6.2.12 6.3.3 6.3.4 6.4.3 6.4.4 6.5.1 6.5.2 6.5.3 6.5.4 6.5.5
    6.6.1 6.6.2 6.6.3 6.8.1 6.8.2 6.8.3 6.8.4
    7.1.1 7.1.2 7.1.3 7.3.1 7.3.2 7.4.3 7.4.4 7.4.5 7.5.1 7.5.2 7.6.1 7.6.2
    9.2.2 9.2.3 9.2.4
    10.1.1 10.1.2 10.2.1 10.2.2 10.3.1 10.3.2 10.3.3 10.3.4 10.4.6 10.4.7 10.4.8 10.4.9 10.4.10
    10.4.11 10.5.1 10.5.2 10.5.3 10.5.4 10.5.5 10.6.1 10.6.2 10.7.1 10.7.2 10.7.3
    11.1.1 11.1.2 11.2.1 11.2.2 11.2.3 11.3.3 11.4.2 11.4.3 11.4.4 11.5.1 11.6.1
    12.1.2 12.1.3 12.3.1 12.3.2 12.3.3 12.3.4
    16.1.1 16.2.1 16.2.2 16.2.3 16.2.4 16.2.5 16.3.1 16.3.2 16.3.3 16.3.4 16.4.1 16.4.2 16.4.3
    16.5.1 16.5.2 16.5.3
""".split()  # noqa: SIM905
CRYPTOGRAPHY: Final = {"argon2", "cryptography", "hashlib", "hmac", "jwt", "secrets"}
OTHER_HASHES: Final = re.compile(
    r"\b(?:md4|md5|sha1|sha224|sha512|blake2[bs]|ripemd\w*)\b", re.IGNORECASE
)

_ROW: Final = re.compile(
    r"^\| (\d+\.\d+\.\d+) \| ([12]) \| (.+?) \| \*\*(met|not applicable|deviates)\*\*(.*) \|$",
    re.MULTILINE,
)
_TEST: Final = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_PROOF: Final = re.compile(r"`\./run prove (\w+)`")
_MODULE: Final = re.compile(r"`((?:app|domain|projections)/[\w/]+\.py)`")
_WORDS: Final = 5
"""Fewer are no reason."""


class Line(NamedTuple):
    """A line of the standard, and how it stands."""

    number: str
    level: str
    asks: str
    verdict: str
    said: str


LINES: Final = [Line(*found) for found in _ROW.findall(read(PAGE))]


@cache
def functions(path: Path) -> set[str]:
    """The tests in a file."""
    tree = ast.parse(read(path))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def imported(path: Path) -> Iterator[str]:
    """The packages that a module imports, each by its first name."""
    for node in ast.walk(ast.parse(read(path))):
        match node:
            case ast.Import(names):
                yield from (each.name.split(".")[0] for each in names)
            case ast.ImportFrom(module=str(module)):
                yield module.split(".")[0]


def sources() -> Iterator[Path]:
    for package in ("app", "domain", "projections"):
        yield from (ROOT / package).rglob("*.py")


def test_every_line_of_levels_1_and_2_is_there_once() -> None:
    found = {each.number: each.level for each in LINES}
    assert len(found) == len(LINES)
    assert found == {**dict.fromkeys(LEVEL_1, "1"), **dict.fromkeys(LEVEL_2, "2")}
    assert len(found) == 128


def test_every_row_that_begins_as_one_is_read() -> None:
    assert len(re.findall(r"^\| \d+\.\d+\.\d+ \|", read(PAGE), re.MULTILINE)) >= len(LINES)
    below = read(PAGE).partition("\n## V6 ")[2]
    assert len(re.findall(r"^\| \d+\.\d+", below, re.MULTILINE)) == len(LINES)


def test_the_counts_are_right() -> None:
    counts = Counter(each.verdict for each in LINES)
    assert (
        f"Of {len(LINES)} lines {counts['met']} are met, {counts['not applicable']} don't apply, "
        f"and {counts['deviates']} deviate."
    ) in read(PAGE)


@pytest.mark.parametrize("line", LINES, ids=lambda each: each.number)
def test_a_line_names_what_holds_it_or_says_why_not(line: Line) -> None:
    tests, proofs = _TEST.findall(line.said), _PROOF.findall(line.said)
    for path, function in tests:
        assert function in functions(ROOT / path), function
    assert set(proofs) <= set(NAMES)
    assert line.said.count("`tests/") == len(tests), "a file says less than a test of it"
    if line.verdict == "met":
        assert tests or proofs
    else:
        assert len(re.sub(r"`[^`]*`", "", line.said).split()) >= _WORDS


def test_what_deviates_stands_together_too() -> None:
    part = read(PAGE).partition("\n## What deviates, together\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+\.[\d., ]+) \|", part, re.MULTILINE)
    together = [number for row in rows for number in row.split(", ")]
    assert together == [each.number for each in LINES if each.verdict == "deviates"]


def test_the_inventory_names_every_module_that_computes_with_secrets() -> None:
    part = read(PAGE).partition("\n## What is computed where\n")[2].partition("\n## ")[0]
    computing = {name(path) for path in sources() if CRYPTOGRAPHY & {*imported(path)}}
    assert set(_MODULE.findall(part)) == computing


def test_no_other_hash_function_is_named() -> None:
    found = {name(path): OTHER_HASHES.findall(read(path)) for path in sources()}
    assert {path: names for path, names in found.items() if names} == {}
    assert OTHER_HASHES.findall("hashlib.md5(usedforsecurity=False)") == ["md5"]


def test_every_proof_that_a_page_names_is_one() -> None:
    named = {(name(page), proof) for page in PAGES for proof in _PROOF.findall(read(page))}
    assert len(named) > 20
    assert {each for each in named if each[1] not in NAMES} == set()
