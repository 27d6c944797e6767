"""What is made of the benchmarks' figures: files that are kept, charts, and a page."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from tests.benchmarks import __main__ as program
from tests.benchmarks import (
    bench_authenticate,
    bench_bearer,
    bench_refresh,
    bench_workers,
    chart,
    growth,
    machine,
)
from tests.benchmarks.bench_idle import Idle
from tests.benchmarks.bench_log import LogFigures
from tests.benchmarks.bench_pages import PageCost
from tests.benchmarks.bench_parts import Part, Parts
from tests.benchmarks.bench_storing import Kind, Storing
from tests.benchmarks.comparison import By, Comparison, Size, Turn, compare
from tests.benchmarks.figures import summary, told
from tests.benchmarks.growth import Asked, Growth
from tests.benchmarks.mixed import Mixed, Times
from tests.benchmarks.paced import Taken
from tests.benchmarks.page import PARTS, page
from tests.benchmarks.report import Report, kept, read, write

SVG = "{http://www.w3.org/2000/svg}"
HERE = msgspec.structs.replace(
    machine.look_round(), cpu="A <Chip> & more", cores=2, load_average=(0.0, 0.0, 0.0)
)


def compared(name: str = "GET <me>", target: float = 0.5, *, of_cpu: bool = False) -> Comparison:
    """A half by rate, a quarter by processor time."""
    bare = [Turn(100, 25), Turn(100, 25), Turn(100, 25)]
    here = [Turn(50, 100, 7), Turn(60, 100, 7), Turn(40, 100, 7)]
    return compare(
        name,
        conditions="in the sun",
        unit="request",
        size=Size(3, 4, 2),
        names=("empty handler", "service"),
        turns=(bare, here),
        target=target,
        by="CPU" if of_cpu else "rate",
    )


def mixed() -> Mixed:
    def times(*values: float) -> Times:
        return Times.of([[Taken(200, value)] for value in values])

    return Mixed(
        "SQLite",
        "a service",
        alone=times(2.0, 4.0),
        beside=times(5.0, 16.0),
        ratio=summary([2.5, 4.0]),
        health=times(20.0, 30.0),
        logins=summary([50.0, 60.0]),
        overload=100,
        refused=40,
        refusal=times(51.0),
        hashed=summary([70.0, 80.0]),
        beside_refused=2,
    )


def a_report(*, quick: bool = False) -> Report:
    return Report(HERE, "a client", quick)


def drawn(name: str, report: Report) -> tuple[str, ET.Element]:
    text = chart.draw(name, report)
    assert text is not None
    return text, ET.fromstring(text)  # noqa: S314 - our own


def test_too_many_logins_are_told_with_how_far_the_turns_spread() -> None:
    lines = mixed().lines()
    assert lines[2] == (
        "  2 turns; 55.0 logins/s (75.0 by bare argon2), 2 refused; "
        "40 of 100 refused where there were too many"
    )
    (row,) = (each for each in lines if each.startswith("  /refresh beside logins   "))
    assert row.split()[3:] == ["10.5", "10.5", "5.0", "to", "16.0", "16.0"]


def test_a_target_may_be_for_processor_time() -> None:
    by_rate, by_cpu = compared(target=0.3), compared(target=0.3, of_cpu=True)
    assert (by_rate.verdict, by_cpu.verdict) == ("reached", "missed")
    (row,) = (line for line in by_cpu.lines() if "NOT reached" in line)
    assert row.startswith("  ratio by CPU")
    (row,) = (line for line in by_rate.lines() if "reached" in line)
    assert row.startswith("  ratio of requests/s")


def test_a_chart_shows_every_comparison_with_its_spread_its_target_and_its_cost() -> None:
    report = a_report()
    report.comparisons += [compared(), compared("POST", 0.51), compared("CPU", 0.2, of_cpu=True)]
    text, root = drawn("refresh", report)
    said = [each.text or "" for each in root.iter(f"{SVG}text")]
    assert "GET <me>" in said
    assert "0.50 (0.40 to 0.60), target 0.50" in said
    assert "0.23 (0.23 to 0.23), by processor time, target 0.20" in said
    note = "µs of CPU a request: empty handler 25, service 100 and PostgreSQL 7; 3 turns each"
    assert said.count(note) == 3
    assert "A <Chip> & more, 2 cores" in said
    kinds = [each.get("class") for each in root.iter(f"{SVG}rect")]
    assert kinds == ["back", *("lane", "good"), *("lane", "missed"), *("lane", "good")]
    assert not re.search(r"href|url\(|<script|@import| on\w+=| style=", text)
    assert "prefers-color-scheme:dark" in text


def test_a_bar_is_as_long_as_its_share() -> None:
    report = a_report()
    report.comparisons += [compared()]
    _, root = drawn("refresh", report)
    half = next(each for each in root.iter(f"{SVG}rect") if each.get("class") == "good")
    one = next(each for each in root.iter(f"{SVG}path") if each.get("class") == "one")
    begin, length = float(half.get("x", "")), float(half.get("width", ""))
    place = re.match(r"M([0-9.]+) ", one.get("d", ""))
    assert place is not None
    assert length / (float(place[1]) - begin) == pytest.approx(0.5, abs=0.001)


def test_the_words_beside_a_bar_have_room_for_both() -> None:
    """Of every comparison there is, in a broad font."""
    names = [
        *(f"{way.name} on PostgreSQL 18.10" for way in bench_refresh.WAYS),
        *(f"{way.name} on PostgreSQL 18.10" for way in bench_bearer.WAYS),
        *(f"{way.name} on SQLite" for way in bench_bearer.MANY_WAYS),
        *(f"{way.path} on PostgreSQL 18.10" for way in bench_authenticate.WAYS),
        f"{bench_refresh.MANY_WAY.name} on PostgreSQL 18.10",
        *(f"Two processes: {way.name}" for way in bench_workers.WAYS),
    ]
    report = a_report()
    report.comparisons += [compared(name, of_cpu=name.endswith("/refresh")) for name in names]
    report.comparisons.append(compared("x" * 70))
    found = chart.chart_of("all", report)
    assert found is not None
    widths = [7.6 * len(bar.name) + 6.9 * len(bar.said) for bar in found.bars]
    room = 720 - 2 * 18
    assert max(widths[:-1]) < room < widths[-1]


def test_what_has_a_limit_is_drawn_as_a_share_of_it() -> None:
    report = a_report(quick=True)
    report.mixed.append(mixed())
    report.idle.append(Idle("SQLite", summary([0.25, 2.0])))
    both = summary([2.0]), summary([2.2])
    asked = [
        Asked("GET /me", 800, both, (2.0, 2.6), summary([1.1]), (100.0, 110.0), (1.1, 1.4)),
        Asked("GET /sessions", 800, both, (2.0, 2.4), summary([1.15]), (100.0, 110.0), (1.0, 1.3)),
    ]
    size = growth.Size(turns=1, asked=1, starts=1, loaded=1, seconds=1.0)
    report.growth.append(
        Growth("SQLite", (9, 99_999), size, asked, both, summary([1.5]), (70.0, 80.0), 1, 151.0)
    )
    report.pages += [PageCost(f"/{number}", summary([number])) for number in range(30)]
    found = chart.chart_of("mixed", report)
    assert found is not None
    by_name = {each.name: each for each in found.bars}
    beside = by_name["/refresh beside logins on SQLite, p99 to alone"]
    assert beside.value == pytest.approx(3.25 / 3)
    assert beside.verdict == "open"  # 2.5 and 4.0 of 3
    assert by_name["/healthz beside logins on SQLite, p99 in ms"].verdict == "reached"
    assert (
        by_name["503 to too many logins on SQLite, p99 in ms"].said
        == "51.0 (51.0 to 51.0), at most 50"
    )
    assert by_name["Idle on SQLite"].value == 1.125
    assert by_name["GET /sessions, p50, 99,999 people on SQLite"].verdict == "reached"
    latest = by_name["GET /me, p99, 99,999 people on SQLite"]
    assert latest.note == "of all 800 requests; by chance 1.10 to 1.40"
    assert (latest.verdict, latest.least < 1 < latest.most) == ("missed", True)
    assert by_name["Cold start, 99,999 people on SQLite"].verdict == "reached"
    assert by_name["Memory, 99,999 people on SQLite"].verdict == "missed"
    assert [name for name in by_name if re.fullmatch(r"/\d+", name)] == [
        f"/{number}" for number in range(29, 29 - chart.DEAREST, -1)
    ]
    text, _ = drawn("mixed", report)
    assert "a quick run" in text


def test_processor_time_with_a_target_has_the_databases_in_it() -> None:
    found = compared(target=0.3, of_cpu=True)
    assert found.ratio.values == pytest.approx([25 / 107] * 3)
    assert found.cpu_ratio.values == (0.25, 0.25, 0.25)


def test_two_processes_are_told_as_multiples_of_one(tmp_path: Path) -> None:
    bare = [Turn(100, 90, 10), Turn(100, 100, 10), Turn(100, 90, 20)]
    here = [Turn(120, 95, 15), Turn(90, 100, 20), Turn(95, 100, 21)]
    report = a_report()
    ways: list[tuple[str, float, By]] = [("steady", 1 / 1.1, "CPU"), ("hot", 0.9, "rate")]
    for name, target, by in ways:
        report.comparisons.append(
            compare(
                f"Two processes: {name}",
                conditions="in the sun",
                unit="request",
                size=Size(3, 4, 2),
                names=("one process", "two processes"),
                turns=(bare, here),
                target=target,
                by=by,
            )
        )
    write(report, tmp_path / "workers.json")
    shown = page(tmp_path)
    assert "| | one process, a second | two processes, a second | one process, µs |" in shown
    row = "| steady | 100 | 95 | 110 (100 to 110) | 120 (110 to 121) "
    assert (
        f"{row}| 1.10 (1.09 to 1.10) times the processor time | at most 1.1 times: reached" in shown
    )
    assert "| 0.95 (0.90 to 1.20) times the rate | at least 0.9 times: reached" in shown


def test_what_is_answered_under_load_is_told_without_a_target(tmp_path: Path) -> None:
    report = a_report()
    both = summary([2.0]), summary([2.2])
    asked = [Asked("GET /me", 800, both, (2.0, 2.6), summary([1.1]), (100.0, 110.0))]
    size = growth.Size(turns=1, asked=1, starts=1, loaded=1, seconds=1.0)
    rates = growth.Rates(
        cold=True,
        people=500,
        connections=64,
        few=summary([6000.0]),
        many=summary([5400.0]),
        ratio=summary([0.9]),
    )
    report.growth.append(
        Growth(
            *("SQLite", (9, 99_999), size, asked, both, summary([1.5]), (70.0, 80.0), 1, 150.004),
            rates=[rates],
        )
    )
    write(report, tmp_path / "growth.json")
    shown = page(tmp_path)
    assert (
        "| /refresh at 64 connections, from the disk, 99,999 people on SQLite "
        "| 0.90 (0.90 to 0.90) times the rate "
        "| 6,000 and 5,400 a second, by 500 people; 1 turn |"
    ) in shown
    assert "| Memory, 99,999 people on SQLite | 150.004 MB, at most 150: missed |" in shown


def test_what_has_no_picture_is_on_the_page_with_where_it_was_measured(tmp_path: Path) -> None:
    report = a_report()
    report.made, report.commit = "2026-11-27", "8bd88cc"
    report.machine = msgspec.structs.replace(HERE, files="ext4")
    one = summary([2.0, 1.0, 3.0])
    report.tokens = {
        what: {"bare cryptography": one, "gatebook, whole token": one}
        for what in ("ES256 sign", "ES256 verify")
    }
    write(report, tmp_path / "tokens.json")
    report.tokens, report.log = {}, LogFigures(600, *(one for _ in range(7)))
    write(report, tmp_path / "log.json")
    report.log = None
    deep = [Part("the service", 0, one, one), Part("its signature", 1, one, one)]
    report.parts = [Parts("/refresh", deep)]
    write(report, tmp_path / "parts.json")
    report.parts = []
    kind = Kind("a user", 8, 1555.4, 727.0, 1.0, 8383.0, 108.0, 0.0)
    report.storing.append(Storing("SQLite", 4000, [kind]))
    write(report, tmp_path / "storing.json")
    shown = page(tmp_path)
    assert shown.count("\nA full run of 2026-11-27 on 8bd88cc; A <Chip> & more, 2 cores; ") == 4
    assert shown.count("; ext4; CPython 3") == 4
    assert "| – its signature | 2.0 (1.0 to 3.0) | 2.0 (1.0 to 3.0) |" in shown
    assert "| ES256 sign | bare cryptography | 2.0 (1.0 to 3.0) |" in shown
    assert "events a second | 2 (1 to 3) | at least 30,000: missed |" in shown
    assert "| a user | 1,555 | 727 | 1 | 8,383 | 108 | 0 |" in shown
    assert ".svg" not in shown


def test_a_figure_is_told_on_the_side_of_its_limit_that_it_is_on() -> None:
    assert [told(each, 150.0, 0) for each in (149.4, 150.0, 150.01, 150.2, 1150.4)] == [
        *("149", "150", "150.01", "150.2", "1,150"),
    ]
    assert told(3.004, 3.0, 2) == "3.004"


def test_what_compares_nothing_has_no_chart() -> None:
    assert chart.draw("log", a_report()) is None


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    report = a_report()
    report.comparisons.append(compared())
    report.mixed.append(mixed())
    write(report, tmp_path / "refresh.json")
    assert kept(tmp_path) == {"refresh": report}


def test_the_page_says_what_the_files_say(tmp_path: Path) -> None:
    report = a_report()
    report.comparisons += [compared(), compared("POST", 0.55), compared("/refresh on SQLite")]
    write(report, tmp_path / "refresh.json")
    noisy = a_report(quick=True)
    noisy.machine = msgspec.structs.replace(HERE, load_average=(9.0, 9.0, 9.0))
    noisy.mixed.append(mixed())
    write(noisy, tmp_path / "mixed.json")
    first, second = page(tmp_path).split("## While logins queue")
    row = "| GET <me> | 100 | 50 | 25 (25 to 25) | 100 (100 to 100) | 7 (7 to 7) "
    assert f"{row}| 0.50 (0.40 to 0.60) | 0.50: reached, at the edge |" in first
    assert "| 0.50 (0.40 to 0.60); by the service's CPU 0.25 (0.25 to 0.25) | 0.55: missed" in first
    assert "A full run; 3 turns of 4 s; A <Chip> & more, 2 cores" in first
    assert "Others used the machine" not in first
    assert "A quick run, which says little" in second
    assert "Others used the machine meanwhile" in second
    assert "p99 in ms | 51.0 (51.0 to 51.0), at most 50: missed | worst answer 51.0 ms;" in second
    assert "costs more (on SQLite 100 µs and not 25 for `/refresh`), for these" in second
    shown = [name for name in PARTS if f"]({tmp_path.name}/{name}.svg)" in page(tmp_path)]
    assert shown == ["refresh", "mixed"]


@pytest.mark.parametrize(("others", "noisy"), [(0.04, False), (0.06, True), (None, True)])
def test_figures_are_noisy_by_what_others_used_meanwhile(
    tmp_path: Path, others: float | None, noisy: bool
) -> None:
    """By what was used before the start only where that isn't known."""
    report = a_report()
    report.machine = msgspec.structs.replace(HERE, load_average=(9.0, 9.0, 9.0))
    report.comparisons.append(compared())
    report.others = others
    write(report, tmp_path / "refresh.json")
    assert ("Others used the machine meanwhile" in page(tmp_path)) == noisy
    assert ("while others used the machine" in (chart.draw("refresh", report) or "")) == noisy
    whole = a_report()
    for each in (0.01, others, 0.02):
        part = whole.nothing_yet()
        part.others = each
        whole.add(part)
    assert whole.others == max(0.02, others or 0.0)


@pytest.mark.parametrize(
    ("commit", "said"),
    [("8bd88cc", " on 8bd88cc;"), ("8bd88cc+", " on 8bd88cc with changes;"), ("", ";")],
)
def test_the_page_says_when_and_what_was_measured(tmp_path: Path, commit: str, said: str) -> None:
    report = a_report()
    report.comparisons.append(compared())
    report.made, report.commit = "2026-11-27", commit
    write(report, tmp_path / "refresh.json")
    assert f"\nA full run of 2026-11-27{said}" in page(tmp_path)
    assert (report.nothing_yet().made, report.nothing_yet().commit) == ("2026-11-27", commit)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens are measured with as little as can be."""
    monkeypatch.setattr("tests.benchmarks.bench_tokens.CALLS", {"ES256": 1, "EdDSA": 1, "RS256": 1})
    monkeypatch.setattr(program, "_TOKEN_ROUNDS", 2)
    monkeypatch.setattr(program, "_TOKEN_ROUNDS_QUICK", 2)


@pytest.mark.usefixtures("few")
def test_a_quick_run_says_so_and_writes_no_chart_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    documented = tmp_path / "documented"
    monkeypatch.setattr(program, "KEPT", documented)
    assert program.main(["tokens", "--quick"]) == 0
    assert "QUICK     Less exact; no chart is written." in capsys.readouterr().out
    assert not documented.exists()
    told = tmp_path / "told"
    assert program.main(["tokens", "verifying", "--quick", "--charts", str(told)]) == 0
    assert f"QUICK     Less exact; charts go to {told}." in capsys.readouterr().out
    assert {each.name for each in told.iterdir()} == {
        *("tokens.json", "verifying.json", "verifying.svg"),
    }
    assert read(told / "tokens.json").quick
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", read(told / "tokens.json").made)
    assert not read(told / "tokens.json").verifying
    assert not documented.exists()


@pytest.mark.usefixtures("few")
def test_a_whole_run_writes_into_the_documentation_but_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_: object) -> None:
        raise RuntimeError("no server today")

    written: list[bool] = []
    monkeypatch.setattr(program, "KEPT", tmp_path)
    monkeypatch.setattr("tests.benchmarks.page.write", lambda: written.append(True))
    monkeypatch.setattr("tests.benchmarks.bench_mixed.run", fails)
    assert program.main(["mixed", "tokens"]) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["tokens.json"]
    assert not read(tmp_path / "tokens.json").quick
    assert written == [True]


def test_help_says_what_each_benchmark_is_and_what_it_takes_for_granted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        program.main(["--help"])
    said = capsys.readouterr().out
    for name, each in program.BENCHMARKS.items():
        assert f"  {name:14}{each.about}\n" in said
    assert (
        "else 100,000 and 1,000,000 on SQLite, 100,000 on PostgreSQL, and with --quick 2,000"
        in said
    )
