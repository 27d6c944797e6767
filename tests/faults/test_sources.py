"""What a proof found counts as long as nothing has changed that it runs, for good or ill."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from tests.prove import __main__ as program
from tests.prove.__main__ import NAMES
from tests.prove.results import read
from tests.prove.sources import ROOT, fingerprint, sources
from tests.prove.tally import Tally, Untried

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIBRARIES = ("httpx", "httpx2")
LOCKS = ("requirements.lock", "tests/requirements.lock")


@pytest.fixture(autouse=True)
def _own_levels() -> Iterator[None]:
    """What the program has logged ends with it."""
    before = {each: logging.getLogger(each).level for each in LIBRARIES}
    yield
    for each, level in before.items():
        logging.getLogger(each).setLevel(level)


def of_the_tests(name: str) -> set[str]:
    """The files of the tests whose change makes a proof begin anew."""
    found = {path.relative_to(ROOT).as_posix() for path in sources(name)}
    return {path for path in found if path.startswith("tests/")}


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("kill", {"tests/running.py", "tests/nursery.py", "tests/prove/load.py"}),
        ("power_cut", {"tests/prove/disk.py", "tests/prove/disk.c"}),
        ("fuzzed", {f"tests/prove/fuzz_{each}.py" for each in ("atheris", "targets", "planted")}),
        ("client_python", {"tests/prove/client_python_caller.py"}),
        ("sessions_checked", {"tests/prove/sessions_client.py", "tests/prove/checker.py"}),
        ("conformance", {"tests/http/conformance.py", "tests/http/conformance_hooks.py"}),
        ("simulated", {"tests/simulation/world.py", "tests/simulation/shrinking.py"}),
        ("upgraded", {"tests/stores/kept.py", "tests/stores/__init__.py"}),
        ("constant", {"tests/prove/ranks.py"}),
    ],
)
def test_a_change_of_any_module_that_a_proof_runs_makes_it_begin_anew(
    name: str, runs: set[str]
) -> None:
    """Imported by any of its own, or run as a program by its name."""
    assert runs | {f"tests/prove/{name}.py", "tests/prove/tally.py"} <= of_the_tests(name)


def test_a_change_of_one_proof_leaves_what_the_others_found() -> None:
    changed = "tests/prove/constant.py"
    assert [name for name in NAMES if changed in of_the_tests(name)] == ["constant"]


@pytest.mark.parametrize(
    ("changed", "anew"),
    [
        ("clients/javascript/src/keeper.ts", {"client_javascript", "hostile_tokens"}),
        ("clients/javascript/test/programs/tabs.mjs", {"client_javascript", "hostile_tokens"}),
        ("clients/javascript/package-lock.json", {"client_javascript", "hostile_tokens"}),
        ("clients/javascript/.npmrc", {"client_javascript", "hostile_tokens"}),
        ("clients/python/gatebook_client/keys.py", {"client_python", "hostile_tokens", "fuzzed"}),
        ("tests/http/conformance_hooks.py", {"conformance"}),
    ],
)
def test_a_change_of_what_few_run_makes_those_begin_anew(changed: str, anew: set[str]) -> None:
    assert {name for name in NAMES if ROOT / changed in sources(name)} == anew


@pytest.mark.parametrize("name", NAMES)
def test_a_change_of_the_product_the_server_or_a_version_makes_each_begin_anew(name: str) -> None:
    """Templates, scripts and data of a page too."""
    product = {
        path
        for each in ("app", "domain", "projections")
        for path in (ROOT / each).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert {path.suffix for path in product} > {".py", ".js", ".css"}
    server = {ROOT / each for each in ("tests/server.py", "tests/breaches/lookups.py", *LOCKS)}
    assert (product | server) - {*sources(name)} == set()


def test_a_change_is_a_change_of_the_fingerprint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "constant.py"
    path.write_text("one = 1\n")
    monkeypatch.setattr("tests.prove.sources.ROOT", tmp_path)
    monkeypatch.setattr("tests.prove.sources.sources", lambda _: [path])
    before = fingerprint("constant")
    assert fingerprint("constant") == before
    path.write_text("one = 2\n")
    assert fingerprint("constant") != before


class Unlucky:
    """A proof that goes wrong once, or misses its control once, and never again."""

    PROPERTY, SIZE, STEP, SHORT, STORES = "what is tried is right", 4, 1, 1, ("sqlite",)

    def __init__(self, *, missed: bool) -> None:
        self._missed = missed
        self.ran = 0

    def prove(self, _url: str, count: int) -> Tally:
        self.ran += 1
        tally = Tally(tried=count)
        tally.control("a breach", noticed=not self._missed or self.ran > 1)
        tally.expect(self._missed or self.ran > 1, "once")
        return tally


@pytest.mark.parametrize("missed", [False, True])
def test_what_went_wrong_is_told_until_the_source_changes_or_it_is_tried_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys, missed: bool
) -> None:
    proof = Unlucky(missed=missed)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(program, "KEPT", tmp_path)
    monkeypatch.setattr(program, "import_module", lambda _: proof)

    def run(*options: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["prove", "kill", *options])
        return program.main(), capsys.readouterr().out

    code, told = run()
    assert (code, proof.ran) == (1, 1)
    assert "earlier run" not in told
    code, told = run()
    assert (code, proof.ran) == (1, 1)
    assert "1 of 4, unfinished; failed in an earlier run, --again tries anew" in told
    code, told = run("--again")
    assert (code, proof.ran) == (0, 5)
    assert "earlier run" not in told
    proof.ran = 0
    monkeypatch.setattr(program, "fingerprint", lambda _: "of before")
    assert run()[0] == 1
    monkeypatch.setattr(program, "fingerprint", lambda _: "of now")
    assert run()[0] == 0


class Broken:
    """A proof with a bug, which its second round meets."""

    PROPERTY, SIZE, STEP, SHORT, STORES = "what is tried is right", 4, 1, 1, ("sqlite",)

    def __init__(self, error: BaseException) -> None:
        self._error = error
        self.ran = 0

    def prove(self, _url: str, count: int) -> Tally:
        self.ran += 1
        if self.ran == 2:
            raise self._error
        tally = Tally(tried=count)
        tally.control("a breach", noticed=True)
        tally.count("rounds", 1)
        return tally


def test_an_exception_of_a_proof_is_a_failure_that_is_told_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    proof = Broken(ZeroDivisionError("nothing to divide by"))
    other = Unlucky(missed=False)
    others, other.ran = {"kill": proof, "herd": other}, 1
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(program, "KEPT", tmp_path)
    monkeypatch.setattr(program, "import_module", lambda name: others[name.rpartition(".")[2]])
    monkeypatch.setattr("sys.argv", ["prove", "kill", "herd"])
    assert program.main() == 1
    told = capsys.readouterr()
    kill, herd = told.out.splitlines()[1:]
    assert [each.strip() for each in kill.split("|")][1:4] == ["1 of 4, unfinished", "1", "noticed"]
    assert [each.strip() for each in herd.split("|")][1:4] == ["4", "0", "noticed"]
    assert "kill sqlite: 1 rounds\n" in told.err
    assert "Traceback (most recent call last):\n" in told.err
    what = "VIOLATION: broken off: ZeroDivisionError: nothing to divide by (test_sources.py, line "
    assert what in told.err
    assert program.main() == 1
    assert proof.ran == 2
    assert "VIOLATION: broken off: ZeroDivisionError" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["prove", "kill", "herd", "--again"])
    other.ran = 1
    assert program.main() == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143)])
def test_who_ends_the_program_ends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys, error: BaseException
) -> None:
    """What was found before is told, and gone on with."""
    proof = Broken(error)
    with pytest.raises(type(error)):
        prove(monkeypatch, tmp_path, proof, "kill")
    (_, line) = capsys.readouterr().out.splitlines()
    assert [each.strip() for each in line.split("|")][1:4] == ["1 of 4, unfinished", "0", "noticed"]
    assert prove(monkeypatch, tmp_path, proof, "kill") == 0
    assert proof.ran == 5


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Slow:
    """A proof whose round takes so many minutes."""

    PROPERTY, SIZE, STEP, SHORT = "what is tried is right", 3, 1, 1
    STORES: tuple[str, ...] = ("sqlite",)

    def __init__(self, clock: Clock, minutes: float) -> None:
        self._clock = clock
        self._minutes = minutes
        self.began: list[float] = []

    def prove(self, _url: str, count: int) -> Tally:
        self.began.append(self._clock.now / 60)
        self._clock.now += self._minutes * 60
        tally = Tally(tried=count)
        tally.control("a breach", noticed=True)
        return tally


@pytest.mark.parametrize(
    ("minutes", "began"),
    [
        (6.0, [[0, 6, 12]]),
        (7.0, [[0, 7], [14]]),
        (12.0, [[0], [12], [24]]),
        (25.0, [[0], [25], [50]]),
    ],
)
def test_no_round_begins_that_would_end_after_the_minutes_of_a_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, minutes: float, began: list[list[float]]
) -> None:
    """The first of a run always does: else one that takes long would never be tried."""
    clock = Clock()
    proof = Slow(clock, minutes)
    monkeypatch.setattr(program, "time", clock)
    for expected in began:
        proof.began.clear()
        last = expected is began[-1]
        assert prove(monkeypatch, tmp_path, proof, "kill") == (0 if last else 1)
        assert proof.began == expected


def test_another_store_is_begun_with_if_one_as_slow_would_end_in_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = Clock()
    proof = Slow(clock, 11.0)
    monkeypatch.setattr(program, "time", clock)
    monkeypatch.setattr(proof, "STORES", ("sqlite", "other"))
    monkeypatch.setattr(proof, "SIZE", 1)
    monkeypatch.setattr(program.Databases, "new", lambda *_: nullcontext(""))
    assert prove(monkeypatch, tmp_path, proof, "kill") == 1
    assert proof.began == [0]
    assert prove(monkeypatch, tmp_path, proof, "kill") == 0
    assert proof.began == [0, 11]


class Untriable:
    """A proof that needs what isn't here."""

    PROPERTY, SIZE, STEP, SHORT, STORES = "what is tried is right", 4, 1, 1, ("sqlite",)

    def prove(self, _url: str, _count: int) -> Tally:
        raise Untried("there is no C compiler (cc) here")


def test_what_cant_be_tried_here_is_no_violation_and_no_success(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    assert prove(monkeypatch, tmp_path, Untriable(), "kill") == 1
    (_, line) = capsys.readouterr().out.splitlines()
    cells = [each.strip() for each in line.split("|")]
    assert cells[1:4] == ["0 of 4, unfinished; there is no C compiler (cc) here", "0", "-"]
    assert [*tmp_path.iterdir()] == []


def test_what_was_tried_while_what_it_runs_changed_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    """What this program has imported is of before, and what it starts of now."""
    proof, source = Timed(), iter(["of before", "of before", "of now"])
    monkeypatch.setattr(proof, "STEP", 2)
    monkeypatch.setattr(program, "fingerprint", lambda _: next(source))
    assert prove(monkeypatch, tmp_path, proof, "kill") == 1
    assert proof.asked == [2, 2]
    assert "2 of 4, unfinished; what it runs has changed" in capsys.readouterr().out
    (kept,) = tmp_path.iterdir()
    found = read(kept)
    assert found is not None
    assert (found.source, found.tally.tried) == ("of before", 2)


def test_what_is_demanded_is_looked_for_in_all_that_was_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    assert prove(monkeypatch, tmp_path, Demanding(), "kill") == 1
    assert "VIOLATION: of all that was tried: no kind two" in capsys.readouterr().err
    monkeypatch.setattr(Demanding, "DEMANDED", ("kind one", "others"))
    assert prove(monkeypatch, tmp_path, Demanding(), "kill", "--again") == 0
    monkeypatch.setattr(Demanding, "DEMANDED", ("kind two",))
    assert prove(monkeypatch, tmp_path, Demanding(), "kill", "--short") == 0


class Timed:
    """A proof whose size is time; `controlled`, when it can show that it would notice."""

    PROPERTY, SIZE, STEP, SHORT, STORES = "what is tried is right", 4, 4, 1, ("sqlite",)
    HOUR = 3_600

    def __init__(self, *, controlled: bool = True) -> None:
        self._controlled = controlled
        self.asked: list[int] = []

    def prove(self, _url: str, count: int) -> Tally:
        self.asked.append(count)
        tally = Tally(tried=count)
        if self._controlled:
            tally.control("a breach", noticed=True)
        return tally


class Demanding(Timed):
    """A proof that counts something in its first round alone."""

    STEP = 2
    DEMANDED = ("kind one", "kind two")

    def prove(self, url: str, count: int) -> Tally:
        tally = super().prove(url, count)
        tally.count("kind one" if len(self.asked) == 1 else "others")
        return tally


def prove(monkeypatch: pytest.MonkeyPatch, kept: Path, proof: object, *arguments: str) -> int:
    """The exit code of the program, of which every proof is this one."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(program, "KEPT", kept)
    monkeypatch.setattr(program, "import_module", lambda _: proof)
    monkeypatch.setattr("sys.argv", ["prove", *arguments])
    return program.main()


@pytest.mark.parametrize("hours", ["-1", "0", "-0", "nan", "inf", "-inf", "an hour"])
def test_hours_are_a_number_above_0(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys, hours: str
) -> None:
    proof = Timed()
    with pytest.raises(SystemExit) as ended:
        prove(monkeypatch, tmp_path, proof, "soak", f"--hours={hours}")
    assert ended.value.code == 2
    assert "--hours" in capsys.readouterr().err
    assert proof.asked == []


@pytest.mark.parametrize(("hours", "seconds"), [("2", 7_200), ("0.5", 1_800), ("1e-9", 1)])
def test_hours_are_the_size_of_what_goes_by_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hours: str, seconds: int
) -> None:
    proof = Timed()
    assert prove(monkeypatch, tmp_path, proof, "soak", "--hours", hours) == 0
    assert proof.asked == [seconds]


def test_hours_are_no_short_form_and_for_nothing_that_goes_by_number(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    """Which is known before anything is tried."""
    for proof, arguments, said in (
        (Timed(), ("soak", "--short", "--hours=1"), "not allowed with"),
        (Timed(), ("--hours=1",), "names that are given"),
        (Unlucky(missed=False), ("soak", "--hours=1"), "soak: doesn't go by time"),
    ):
        with pytest.raises(SystemExit) as ended:
            prove(monkeypatch, tmp_path, proof, *arguments)
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


def test_without_a_control_nothing_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    assert prove(monkeypatch, tmp_path, Timed(controlled=False), "soak") == 1
    (_, line) = capsys.readouterr().out.splitlines()
    assert [each.strip() for each in line.split("|")][1:4] == ["4", "0", "NONE"]


def test_a_round_that_tries_nothing_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    class Idle(Timed):
        def prove(self, _url: str, _count: int) -> Tally:
            return super().prove(_url, 0)

    assert prove(monkeypatch, tmp_path, Idle(), "soak") == 1
    assert "VIOLATION: a round that tried nothing" in capsys.readouterr().err


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_requests_of_a_proof_are_not_logged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog, library: str
) -> None:
    """Where one before it made an application, which has everything logged from then on."""
    logger = logging.getLogger(library)

    class Asking(Timed):
        def prove(self, url: str, count: int) -> Tally:
            logger.info("HTTP Request: GET http://127.0.0.1/healthz")
            logger.warning("a warning")
            return super().prove(url, count)

    with caplog.at_level(logging.INFO):
        assert prove(monkeypatch, tmp_path, Asking(), "soak") == 0
    assert caplog.messages == ["a warning"]


def test_the_table_of_what_was_found_runs_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    proof, wrong = Timed(), Unlucky(missed=False)

    def table(*names: str) -> tuple[int, list[list[str]]]:
        code = prove(monkeypatch, tmp_path, proof, "--table", *names)
        lines = capsys.readouterr().out.splitlines()[1:]
        return code, [[each.strip() for each in line.split("|")][:4] for line in lines]

    monkeypatch.setattr(program, "fingerprint", lambda _: "of before")
    assert table() == (1, [])
    assert prove(monkeypatch, tmp_path, wrong, "kill") == 1
    monkeypatch.setattr(program, "fingerprint", lambda _: "of now")
    assert prove(monkeypatch, tmp_path, proof, "soak") == 0
    assert prove(monkeypatch, tmp_path, proof, "soak", "--short") == 0
    assert prove(monkeypatch, tmp_path, proof, "soak", "--hours=2") == 0
    capsys.readouterr()
    proof.asked.clear()
    right = "what is tried is right"
    soaked = [
        [f"soak (sqlite, 2.0h): {right}", "7200", "0", "noticed"],
        [f"soak (sqlite, short): {right}", "1", "0", "noticed"],
        [f"soak (sqlite): {right}", "4", "0", "noticed"],
    ]
    before = [f"kill (sqlite): {right}", "1 of 4, unfinished; of another source", "1", "noticed"]
    assert table("soak") == (0, soaked)
    assert table() == (1, [before, *soaked])
    (tmp_path / "soak-sqlite-short.json").write_text("{")
    assert table("soak") == (0, [soaked[0], soaked[2]])
    assert proof.asked == []
    assert wrong.ran == 1
    with pytest.raises(SystemExit):
        table("soak", "--again")
    assert len([*tmp_path.iterdir()]) == 4
