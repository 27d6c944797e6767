"""`python -m tests.benchmarks [--quick] [--json FILE] [NAME …]`: measure, and say on what.

A target that is missed is told, and is no failure: on a busy machine it says little. But a page
that costs more than it may is one, as processor time and not the clock says so. Exit code 1 then,
and when a run doesn't count (an answer other than 2xx, a connection that broke, a server that
didn't start); the others are measured all the same.
"""

from __future__ import annotations

import argparse
import platform
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

import msgspec

from app.tokens.signing import Algorithm
from tests.benchmarks import (
    bench_authenticate,
    bench_growth,
    bench_idle,
    bench_log,
    bench_pages,
    bench_refresh,
    bench_storing,
    bench_tokens,
    bench_verifying,
    client,
    machine,
    wrk,
)
from tests.benchmarks.bench_log import LogFigures
from tests.benchmarks.comparison import Comparison
from tests.benchmarks.figures import Summary, summary
from tests.benchmarks.growth import Growth
from tests.benchmarks.load import Generator, LoadError
from tests.benchmarks.machine import Machine

NAMES: Final = (
    *("refresh", "authenticate", "tokens", "verifying", "log", "idle", "pages"),
    *("storing", "growth"),
)

_TOKEN_ROUNDS: Final = 25
_TOKEN_ROUNDS_QUICK: Final = 6


class Report(msgspec.Struct):
    """All that was measured; `tokens` are µs of CPU a call, by what is done and by whom."""

    machine: Machine
    load_from: str
    quick: bool
    users: int | None = None
    """Of the large stores that were asked for."""
    comparisons: list[Comparison] = msgspec.field(default_factory=list)
    tokens: dict[str, dict[str, Summary]] = msgspec.field(default_factory=dict)
    verifying: list[bench_verifying.Verifying] = msgspec.field(default_factory=list)
    log: LogFigures | None = None
    idle: list[bench_idle.Idle] = msgspec.field(default_factory=list)
    pages: list[bench_pages.PageCost] = msgspec.field(default_factory=list)
    storing: list[bench_storing.Storing] = msgspec.field(default_factory=list)
    growth: list[Growth] = msgspec.field(default_factory=list)
    failures: dict[str, str] = msgspec.field(default_factory=dict)


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="./run bench", description="The benchmarks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; else all")
    parser.add_argument("--quick", action="store_true", help="all in two minutes, less exact")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    parser.add_argument("--client", choices=("wrk", "python"), help="else wrk where it is")
    parser.add_argument("--users", type=int, metavar="N", help="of the large stores of growth")
    given = parser.parse_args(arguments)
    names: list[str] = given.names or list(NAMES)
    if unknown := set(names) - set(NAMES):
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(NAMES)}")
    generator = wrk.find() if given.client != "python" else client.GENERATOR
    if generator is None and given.client == "wrk":
        parser.error("wrk is not installed")
    generator = generator or client.GENERATOR
    report = Report(machine.look_round(), generator.name, given.quick, given.users)
    _say(report.machine.lines())
    for name in dict.fromkeys(names):
        try:
            _measure(name, generator, report)
        except (LoadError, OSError, RuntimeError) as error:
            report.failures[name] = str(error)
            _say([f"{name} FAILED: {error}", *getattr(error, "__notes__", ())])
    if given.json is not None:
        write(report, given.json)
    return 1 if report.failures else 0


def write(report: Report, path: Path) -> None:
    """Write a report as JSON, with indents."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


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
    runs = {"refresh": bench_refresh.run, "authenticate": bench_authenticate.run}
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
