"""`python -m tests.benchmarks [--quick] [--json FILE] [--charts FOLDER] [NAME …]`: measure.

What it measures, and on what, is printed. A run that isn't quick also writes the figures and charts
of the documentation, in `docs/explanation/benchmarks`, and the page that shows them.

A target that is missed is told, and is no failure: on a busy machine it says little. But a page
that costs more than it may is one, as processor time and not the clock says so. Exit code 1 then,
and when a run doesn't count (an answer that isn't what it must be, a connection that broke, a
server that didn't start); the others are measured all the same.
"""

from __future__ import annotations

import argparse
import platform
import signal
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar, get_args

from app.tokens.signing import Algorithm
from tests.benchmarks import (
    bench_authenticate,
    bench_bearer,
    bench_growth,
    bench_idle,
    bench_log,
    bench_mixed,
    bench_pages,
    bench_parts,
    bench_refresh,
    bench_storing,
    bench_tokens,
    bench_verifying,
    bench_workers,
    chart,
    client,
    machine,
    page,
    wrk,
)
from tests.benchmarks.figures import Summary, summary
from tests.benchmarks.load import Generator, LoadError
from tests.benchmarks.processor import Others, adopt_orphans
from tests.benchmarks.report import KEPT, Report, write


class Benchmark(NamedTuple):
    """What it is about, and how its figures come into a report; they are printed as they come."""

    about: str
    run: Callable[[Generator, Report], None]


BENCHMARKS: Final = {
    "refresh": Benchmark(
        "what a refresh costs beside an empty handler",
        lambda load, to: _each(bench_refresh.run(load, quick=to.quick), to.comparisons),
    ),
    "bearer": Benchmark(
        "what GET /me and introspection cost beside one",
        lambda load, to: _each(bench_bearer.run(load, quick=to.quick), to.comparisons),
    ),
    "authenticate": Benchmark(
        "logging in and registering beside bare argon2",
        lambda load, to: _each(bench_authenticate.run(load, quick=to.quick), to.comparisons),
    ),
    "mixed": Benchmark(
        "whether refreshing waits for logins that queue",
        lambda _, to: _each(bench_mixed.run(quick=to.quick), to.mixed),
    ),
    "workers": Benchmark(
        "what a second process on one PostgreSQL costs and adds",
        lambda load, to: _each(bench_workers.run(load, quick=to.quick), to.comparisons),
    ),
    "parts": Benchmark(
        "where the processor time of a refresh goes",
        lambda _, to: _each(bench_parts.run(quick=to.quick), to.parts),
    ),
    "tokens": Benchmark(
        "signing and verifying beside the bare signature",
        lambda _, to: to.tokens.update(measure_tokens(_rounds(to))),
    ),
    "verifying": Benchmark(
        "the Python client's verifier beside PyJWT",
        lambda _, to: to.verifying.extend(measure_verifying(_rounds(to))),
    ),
    "log": Benchmark(
        "proving the log, rebuilding a view, replaying",
        lambda _, to: measure_log(to),
    ),
    "idle": Benchmark(
        "what a service costs that nobody asks",
        lambda _, to: _each(bench_idle.run(quick=to.quick), to.idle),
    ),
    "pages": Benchmark(
        "what each page costs; more than it may is a failure", lambda _, to: measure_pages(to)
    ),
    "storing": Benchmark(
        "what a user, a login and a day take in the database",
        lambda _, to: _each(bench_storing.run(quick=to.quick), to.storing),
    ),
    "growth": Benchmark(
        "whether a large store is as fast as a small one",
        lambda load, to: _each(bench_growth.run(load, quick=to.quick, users=to.users), to.growth),
    ),
}

_TOKEN_ROUNDS: Final = 25
_TOKEN_ROUNDS_QUICK: Final = 6


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; the exit code."""
    given = _given(arguments)
    generator = (wrk.find() if given.client != "python" else None) or client.GENERATOR
    folder: Path | None = None if given.quick else KEPT
    if given.charts is not None:
        folder = given.charts.resolve()
    made, commit = datetime.now(UTC).date().isoformat(), machine.commit()
    report = Report(machine.look_round(), generator.name, given.quick, given.users, made, commit)
    _say([*report.machine.lines(), f"commit    {commit or 'not known'}"])
    if given.quick:
        written = "no chart is written" if folder is None else f"charts go to {folder}"
        _say([f"QUICK     Less exact; {written}."])
    for name in dict.fromkeys(given.names or BENCHMARKS):
        found, others = report.nothing_yet(), Others()
        try:
            BENCHMARKS[name].run(generator, found)
        except (LoadError, OSError, RuntimeError) as error:
            found.failures[name] = str(error)
            _say([f"{name} FAILED: {error}", *getattr(error, "__notes__", ())])
        found.others = others.cores()
        if found.busy:
            _say([f"WARNING   Others took {found.others:.2f} of a core: {name} is noisy."])
        report.add(found)
        if folder is not None and not found.failures:
            keep(name, found, folder)
    if folder == KEPT:
        page.write()
    if given.json is not None:
        write(report, given.json)
    return 1 if report.failures else 0


def _given(arguments: list[str] | None) -> argparse.Namespace:
    """What is asked for; whatever would fail only after hours is refused now."""
    parser = argparse.ArgumentParser(
        prog="./run bench",
        description="Measure, and write the figures and charts of the documentation.",
        epilog="\n".join(
            ("benchmarks:", *(f"  {name:14}{each.about}" for name, each in BENCHMARKS.items()))
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which of those below; else all")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="all in two minutes and a little more: less exact, and not for the documentation",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    parser.add_argument(
        "--charts",
        type=Path,
        metavar="FOLDER",
        help="write figures and charts there; else in the documentation, with --quick nowhere",
    )
    parser.add_argument(
        "--client",
        choices=("wrk", "python"),
        help="which one makes the load; else wrk where it is installed, and python where it isn't",
    )
    parser.add_argument(
        "--users",
        type=int,
        metavar="N",
        help="how many people the large store of growth has, on SQLite and on PostgreSQL; else "
        f"{' and '.join(f'{each:,}' for each in bench_growth.LARGE)} on SQLite, "
        f"{' and '.join(f'{each:,}' for each in bench_growth.LARGE_POSTGRESQL)} on PostgreSQL, and "
        f"with --quick {' and '.join(f'{each:,}' for each in bench_growth.LARGE_QUICK)} on SQLite",
    )
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(BENCHMARKS)}")
    if given.client == "wrk" and wrk.find() is None:
        parser.error("wrk is not installed")
    if given.json is not None and (
        given.json.is_dir() or not given.json.absolute().parent.is_dir()
    ):
        parser.error(f"--json {given.json}: no file in a folder that is there")
    return given


def keep(name: str, report: Report, folder: Path) -> None:
    """Write what one benchmark measured, and its chart where it has one."""
    folder.mkdir(parents=True, exist_ok=True)
    write(report, folder / f"{name}.json")
    drawn = chart.draw(name, report)
    if drawn is not None:
        (folder / f"{name}.svg").write_text(drawn, encoding="utf-8")


class _Told(Protocol):
    """Figures that can be told."""

    def lines(self) -> list[str]:
        """For people."""


_Figures = TypeVar("_Figures", bound=_Told)


def _said(found: _Figures) -> _Figures:
    _say(found.lines())
    return found


def _each(found: Iterable[_Figures], kept: list[_Figures]) -> None:
    kept.extend(_said(each) for each in found)


def _rounds(report: Report) -> int:
    return _TOKEN_ROUNDS_QUICK if report.quick else _TOKEN_ROUNDS


def measure_log(report: Report) -> None:
    """A long log."""
    report.log = _said(bench_log.run(quick=report.quick))


def measure_pages(report: Report) -> None:
    """All pages; raises `bench_pages`' error where one costs more than it may."""
    _each(bench_pages.run(quick=report.quick), report.pages)
    bench_pages.judge(report.pages)


def measure_tokens(rounds: int) -> dict[str, dict[str, Summary]]:
    """Sign and verify with each algorithm, and print what it costs; at least two rounds."""
    title = f"Access tokens, µs of CPU a call, n = {rounds} rounds of"
    calls = ", ".join(f"{number} ({name})" for name, number in bench_tokens.CALLS.items())
    columns = " ".join(f"{each:>9}" for each in ("median", "25 %", "75 %", "least"))
    _say([f"{title} {calls} calls, on {platform.machine()}", f"{'':39} {columns} to bare"])
    costs: dict[str, dict[str, Summary]] = {}
    for algorithm in get_args(Algorithm):
        for what, ways in zip(("sign", "verify"), bench_tokens.cases(algorithm), strict=True):
            figures = bench_tokens.measure(ways, bench_tokens.CALLS[algorithm], rounds)
            bench_tokens.report(f"{algorithm} {what}", figures)
            costs[f"{algorithm} {what}"] = {way: summary(values) for way, values in figures.items()}
    return costs


def measure_verifying(rounds: int) -> list[bench_verifying.Verifying]:
    """Verify with each algorithm beside other libraries, and print what it costs."""
    _say(bench_verifying.title(rounds))
    found = []
    for algorithm in get_args(Algorithm):
        found.append(bench_verifying.run(algorithm, bench_tokens.CALLS[algorithm], rounds))
        _say(found[-1].lines())
    return found


def _say(lines: list[str]) -> None:
    print("\n".join(lines), end="\n\n" if len(lines) > 2 else "\n", flush=True)


if __name__ == "__main__":
    # Told to stop, it takes what it started with it.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    adopt_orphans()
    sys.exit(main())
