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
    r"\b(?:md[245]|sha_?1|sha_?224|sha_?384|sha_?512\w*|sha_?3\w*|shake_?\d+|keccak\w*|sm3"
    r"|blake[23]\w*|ripemd\w*|whirlpool|hashlib\.(?:new|file_digest)"
    r"|from hashlib import[^\n]*\bnew)\b",
    re.IGNORECASE,
)
"""By its name; or by a text, which would say more than a name."""

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
def functions(path: Path) -> dict[str, bool]:
    """The tests in a file, and whether each of them is one of `./run test` without `--long`."""
    return functions_of(read(path))


def functions_of(source: str) -> dict[str, bool]:
    """Of one with parameters, some of which are left out, others are tried."""
    module = ast.parse(source)
    left_out = any(isinstance(node, ast.Assign) and _is_long(node.value) for node in module.body)
    return {
        node.name: not left_out and not any(map(_is_long, node.decorator_list))
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef)
    }


def _is_long(mark: ast.expr) -> bool:
    """Whether it is the mark, or a list with it."""
    several = mark.elts if isinstance(mark, ast.List | ast.Tuple) else [mark]
    return any(ast.unparse(each).removesuffix("()") == "pytest.mark.long" for each in several)


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
    always = [function for path, function in tests if functions(ROOT / path)[function]]
    assert always or proofs or not tests, "only with --long"
    assert line.said.count("`tests/") == len(tests), "a file says less than a test of it"
    if line.verdict == "met":
        assert tests or proofs
    else:
        assert len(re.sub(r"`[^`]*`", "", line.said).split()) >= _WORDS


def test_what_is_left_out_of_a_run_is_known() -> None:
    marked = "import pytest\n@pytest.mark.long\ndef test_a(): ...\ndef test_b(): ...\n"
    assert functions_of(marked) == {"test_a": False, "test_b": True}
    some = "@pytest.mark.parametrize('a', [1, pytest.param(2, marks=pytest.mark.long)])\n"
    assert functions_of(f"{some}def test_a(): ...\n") == {"test_a": True}
    for marks in ("pytest.mark.long", "[pytest.mark.other, pytest.mark.long]"):
        assert functions_of(f"pytestmark = {marks}\ndef test_a(): ...\n") == {"test_a": False}


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


@pytest.mark.parametrize(
    "said",
    [
        "hashlib.md5(usedforsecurity=False)",
        "hashlib.sha1(text)",
        "hashlib.sha224(text)",
        "hashlib.sha384(text)",
        "hashes.SHA384()",
        "hashlib.sha512(text)",
        "hashes.SHA512_256()",
        "hashlib.sha3_256(text)",
        "hashes.SHA3_512()",
        "hashlib.shake_128(text)",
        "hashlib.blake2b(text)",
        'hashlib.new("sha-1", text)',
        'hashlib.file_digest(file, "md5")',
        "from hashlib import new",
        "from hashlib import sha256, new",
    ],
)
def test_another_hash_function_is_found(said: str) -> None:
    """The control."""
    assert OTHER_HASHES.search(said)


@pytest.mark.parametrize(
    "said", ["hashlib.sha256(text)", "hmac.new(key, digestmod=hashlib.sha256)"]
)
def test_sha_256_is_no_other_one(said: str) -> None:
    assert not OTHER_HASHES.search(said)


def test_every_proof_that_a_page_names_is_one() -> None:
    named = {(name(page), proof) for page in PAGES for proof in _PROOF.findall(read(page))}
    assert len(named) > 20
    assert {each for each in named if each[1] not in NAMES} == set()
