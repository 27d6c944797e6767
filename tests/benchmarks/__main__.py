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
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

from app.tokens.signing import Algorithm
from tests.benchmarks import (
    bench_authenticate,
    bench_bearer,
    bench_growth,
    bench_idle,
    bench_log,
    bench_mixed,
    bench_pages,
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
from tests.benchmarks.comparison import Comparison
from tests.benchmarks.figures import Summary, summary
from tests.benchmarks.load import Generator, LoadError
from tests.benchmarks.report import KEPT, Report, write

ABOUT: Final = {
    "refresh": "what a refresh costs beside an empty handler",
    "bearer": "what GET /me and introspection cost beside one",
    "authenticate": "logging in and registering beside bare argon2",
    "mixed": "whether refreshing waits for logins that queue",
    "workers": "what a second process on one PostgreSQL costs and adds",
    "tokens": "signing and verifying beside the bare signature",
    "verifying": "the Python client's verifier beside PyJWT",
    "log": "proving the log, rebuilding a view, replaying",
    "idle": "what a service costs that nobody asks",
    "pages": "what each page costs; more than it may is a failure",
    "storing": "what a user, a login and a day take in the database",
    "growth": "whether a large store is as fast as a small one",
}
NAMES: Final = tuple(ABOUT)

_TOKEN_ROUNDS: Final = 25
_TOKEN_ROUNDS_QUICK: Final = 6


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; the exit code."""
    parser = argparse.ArgumentParser(
        prog="./run bench",
        description="Measure, and write the figures and charts of the documentation.",
        epilog="\n".join(("benchmarks:", *(f"  {name:14}{said}" for name, said in ABOUT.items()))),
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
    names: list[str] = given.names or list(NAMES)
    if unknown := set(names) - set(NAMES):
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(NAMES)}")
    generator = wrk.find() if given.client != "python" else client.GENERATOR
    if generator is None and given.client == "wrk":
        parser.error("wrk is not installed")
    generator = generator or client.GENERATOR
    folder: Path | None = None if given.quick else KEPT
    if given.charts is not None:
        folder = given.charts.resolve()
    report = Report(machine.look_round(), generator.name, given.quick, given.users)
    _say(report.machine.lines())
    if given.quick:
        written = "no chart is written" if folder is None else f"charts go to {folder}"
        _say([f"QUICK     Less exact; {written}."])
    for name in dict.fromkeys(names):
        found = report.nothing_yet()
        try:
            _measure(name, generator, found)
        except (LoadError, OSError, RuntimeError) as error:
            found.failures[name] = str(error)
            _say([f"{name} FAILED: {error}", *getattr(error, "__notes__", ())])
        report.add(found)
        if folder is not None and not found.failures:
            keep(name, found, folder)
    if folder == KEPT:
        page.write()
    if given.json is not None:
        write(report, given.json)
    return 1 if report.failures else 0


def keep(name: str, report: Report, folder: Path) -> None:
    """Write what one benchmark measured, and its chart where it has one."""
    folder.mkdir(parents=True, exist_ok=True)
    write(report, folder / f"{name}.json")
    drawn = chart.draw(name, report)
    if drawn is not None:
        (folder / f"{name}.svg").write_text(drawn, encoding="utf-8")


def _measure(name: str, generator: Generator, report: Report) -> None:
    if name == "tokens":
        rounds = _TOKEN_ROUNDS_QUICK if report.quick else _TOKEN_ROUNDS
        report.tokens.update(measure_tokens(rounds))
        return
    if name == "verifying":
        report.verifying += measure_verifying(
            _TOKEN_ROUNDS_QUICK if report.quick else _TOKEN_ROUNDS
        )
        return
    if name == "log":
        report.log = bench_log.run(quick=report.quick)
        _say(report.log.lines())
        return
    if name == "mixed":
        report.mixed = bench_mixed.run(quick=report.quick)
        _say(report.mixed.lines())
        return
    if name == "idle":
        report.idle += bench_idle.run(quick=report.quick)
        _say([line for each in report.idle for line in each.lines()])
        return
    if name == "pages":
        report.pages += bench_pages.run(quick=report.quick)
        _say([line for each in report.pages for line in each.lines()])
        bench_pages.judge(report.pages)
        return
    if name in {"storing", "growth"}:
        _measure_stores(name, generator, report)
        return
    runs = {
        "refresh": bench_refresh.run,
        "bearer": bench_bearer.run,
        "authenticate": bench_authenticate.run,
        "workers": bench_workers.run,
    }
    comparisons: Iterator[Comparison] = runs[name](generator, quick=report.quick)
    for comparison in comparisons:
        report.comparisons.append(comparison)
        _say(comparison.lines())


def _measure_stores(name: str, generator: Generator, report: Report) -> None:
    if name == "storing":
        for stored in bench_storing.run(quick=report.quick):
            report.storing.append(stored)
            _say(stored.lines())
        return
    for grown in bench_growth.run(generator, quick=report.quick, users=report.users):
        report.growth.append(grown)
        _say(grown.lines())


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
    sys.exit(main())
