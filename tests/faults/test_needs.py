"""What a proof needs: what lacks it says so, is no success, and stands in nobody's way."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.clients_javascript import package
from tests.faults import test_hostile
from tests.faults.holding import is_short_form
from tests.prove import __main__ as program
from tests.prove import fuzzed, hostile_tokens, upgraded
from tests.prove.__main__ import NAMES
from tests.prove.fuzz_targets import PLANTED, TARGETS
from tests.prove.needs import ALONE, needs, require
from tests.prove.sources import ROOT, sources
from tests.prove.tally import Tally, Untried
from tests.stores.kept import HERE, KEPT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOT_HERE = "there is no Node 20 or newer here"


@pytest.fixture
def without_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", "1")


class Right:
    """A proof that holds; a part of it can't be tried, as long as something is lacking."""

    PROPERTY, SIZE, OF, STEP, SHORT, STORES = "it is right", 4, "times", 2, 1, ("sqlite",)

    def __init__(self) -> None:
        self.ran = 0
        self.lacking = ""
        self.wrong = False

    def prove(self, _url: str, count: int) -> Tally:
        self.ran += 1
        tally = Tally(tried=count)
        tally.control("a breach", noticed=True)
        tally.expect(not self.wrong, "once")
        if self.lacking:
            tally.leave_out(f"not all: {self.lacking}")
        return tally


def run(monkeypatch: pytest.MonkeyPatch, kept: Path, proof: object, *arguments: str) -> int:
    """The exit code of the program, of which every proof is this one."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(program, "KEPT", kept)
    monkeypatch.setattr(program, "import_module", lambda _: proof)
    monkeypatch.setattr("sys.argv", ["prove", *arguments])
    return program.main()


def rows(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    lines = capsys.readouterr().out.splitlines()[1:]
    return [[each.strip() for each in line.split("|")] for line in lines]


@pytest.mark.usefixtures("without_node")
def test_without_node_the_other_proofs_are_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    proof = Right()
    assert run(monkeypatch, tmp_path, proof, "client_javascript", "as_of") == 1
    assert proof.ran == 2
    lacking, tried = rows(capsys)
    assert lacking[1:4] == [f"0 of 4, unfinished; {NOT_HERE}", "0", "-"]
    assert tried[1:4] == ["4", "0", "noticed"]


def test_without_chromium_or_the_packages_the_javascript_client_is_untried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(package, "lacking", lambda: "")
    monkeypatch.setattr(package, "CHROMIUM", tmp_path / "chromium")
    require("client_python")
    with pytest.raises(Untried, match=r"there is no .*/chromium here, for the tabs"):
        require("client_javascript")
    monkeypatch.undo()
    if shutil.which("node"):
        monkeypatch.setattr(package, "_ONE_OF_ITS", tmp_path / "vitest")
        with pytest.raises(Untried, match=r"not installed|no npm here|no Node"):
            require("client_javascript")


def test_what_was_tried_in_part_shows_nothing_and_is_tried_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    """But for what was wrong in the part that was tried."""
    proof = Right()
    proof.lacking = NOT_HERE
    assert run(monkeypatch, tmp_path, proof, "hostile_tokens") == 1
    (row,) = rows(capsys)
    assert row[1:4] == [f"4; not all: {NOT_HERE}", "0", "noticed"]
    assert run(monkeypatch, tmp_path, proof, "hostile_tokens", "--table") == 1
    assert rows(capsys) == [row]
    assert proof.ran == 2
    proof.lacking = ""
    assert run(monkeypatch, tmp_path, proof, "hostile_tokens") == 0
    assert proof.ran == 4
    proof.lacking, proof.wrong = NOT_HERE, True
    assert run(monkeypatch, tmp_path, proof, "hostile_tokens", "--again") == 1
    proof.lacking, proof.wrong = "", False
    assert run(monkeypatch, tmp_path, proof, "hostile_tokens") == 1
    assert proof.ran == 5


@pytest.mark.long
@pytest.mark.usefixtures("without_node")
def test_without_node_tokens_are_shown_to_the_service_and_to_python(
    monkeypatch: pytest.MonkeyPatch, sqlite_url: str
) -> None:
    monkeypatch.setattr(hostile_tokens, "STEP", 3)
    tally = hostile_tokens.prove(sqlite_url, 3)
    assert tally.first == []
    assert tally.holds
    assert tally.untried == [f"not in JavaScript: {NOT_HERE}"]
    assert tally.counts["verified in Python"] > 0
    assert "verified in JavaScript" not in tally.counts


def test_the_full_form_of_the_fuzzed_readers_is_by_atheris_or_untried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fuzzed, "FUZZER", tmp_path / "fuzzer")
    with pytest.raises(Untried, match="there is no atheris"):
        fuzzed.prove("", fuzzed.STEP)


_FAKE = """
import contextlib, sys
instrument_imports = lambda include: contextlib.nullcontext()
def Setup(arguments, run):
    global given
    given = arguments, run
def Fuzz():
    (_, *options), run = given
    runs = int(options[0].removeprefix("-runs="))
    for _ in range(3):
        run(b"")
    print("#3 cov: 12 ft: 3")
    print("stat::number_of_executed_units: %d" % runs)
    sys.exit(0)
"""


def test_by_atheris_each_target_is_run_so_often_and_a_missed_fault_is_a_missed_control(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that finds nothing, in place of it."""
    (tmp_path / "atheris.py").write_text(_FAKE)
    monkeypatch.setattr(fuzzed, "FUZZER", tmp_path)
    monkeypatch.setattr(fuzzed, "_CORPORA", tmp_path / "corpora")
    one = dict([next(iter(TARGETS.items()))])
    monkeypatch.setattr(fuzzed, "TARGETS", one)
    tally = fuzzed.prove("", 20)
    assert tally.first == []
    assert tally.counts == {"runs by atheris": 20}
    assert tally.controls == {"a fault four steps away, by atheris": False}
    assert PLANTED not in one.values()


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("", True),
        ("--again", True),
        ("fuzzed", True),
        ("kill fuzzed --again", True),
        ("kill", False),
        ("soak --hours 8", False),
        ("--short", False),
        ("fuzzed --short", False),
        ("--table", False),
        ("--list", False),
    ],
)
def test_atheris_is_installed_whenever_it_is_wanted(arguments: str, wanted: bool) -> None:
    script = (ROOT / "run").read_text(encoding="utf-8")
    function = script[script.index("wants_fuzzer() {") :].partition("\n}\n")[0]
    asking = f"set -eu\n{function}\n}}\nif wants_fuzzer {arguments}; then echo yes; fi"
    done = subprocess.run(["/bin/sh", "-c", asking], capture_output=True, text=True, check=True)
    assert done.stdout == ("yes\n" if wanted else "")


def test_every_file_of_every_kept_store_is_a_source_of_its_proof() -> None:
    kept = {path for path in HERE.glob("v*/**/*") if path.is_file()}
    assert {each.directory / "expected.json" for each in KEPT} < kept
    assert kept <= {*sources("upgraded")}
    assert not kept & {*sources("kill")}


def test_each_round_serves_every_kept_store() -> None:
    assert Counter(each.kind for each in KEPT).most_common(1)[0][1] <= upgraded.STEP
    assert upgraded.STEP <= upgraded.SIZE


def test_what_a_proof_needs_is_read_off_what_it_runs() -> None:
    assert needs("full_disk") == ["`cc`", ALONE]
    assert needs("client_javascript") == ["Chromium", "Node.js with npm", ALONE]
    assert needs("fuzzed") == ["atheris"]
    assert needs("register_race") == []
    alone = {name for name in NAMES if ALONE in needs(name)}
    assert {"lost_reply", "kill", "revocation_stream", "client_python", "alike", "nobody"} < alone


def test_the_list_runs_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    proof = Right()
    assert run(monkeypatch, tmp_path, proof, "full_disk", "--list") == 0
    assert capsys.readouterr().out == f"full_disk: 4 times; `cc`; {ALONE}\n"
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, proof, "--list", "--again")
    assert proof.ran == 0


def calls() -> Iterator[tuple[Path, str, str]]:
    """Where a proof is tried in its short form: the file, the function, and which proof."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {
            each.asname or each.name: (node.module, each.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for each in node.names
        }
        if imported.get("holds") != ("tests.faults.holding", "holds"):
            continue
        for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "holds":
                    yield path, function.name, imported[ast.unparse(node.args[0])][1]


def test_every_proof_has_a_short_form_that_is_a_test_and_is_known_as_one() -> None:
    found = [*calls()]
    assert {proof for *_, proof in found} == {*NAMES}
    assert [name for _, name, _ in found if not name.startswith("test_")] == []


def test_whatever_calls_holds_is_a_short_form() -> None:
    assert is_short_form(test_hostile.test_readers_that_are_fuzzed_only_ever_refuse)
    assert not is_short_form(test_whatever_calls_holds_is_a_short_form)
