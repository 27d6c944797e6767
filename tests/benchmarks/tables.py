"""What a benchmark measured as tables of the documentation's page.

Knows the figures of each benchmark, and neither the page around them nor how they came about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from tests.benchmarks import chart
from tests.benchmarks.bench_log import (
    FIRST_PAGE_MS,
    LOG_ONLY_A_SECOND,
    REBUILD_A_SECOND,
    WHOLE_A_SECOND,
)
from tests.benchmarks.figures import inverse, verdict

if TYPE_CHECKING:
    from tests.benchmarks.bench_log import LogFigures
    from tests.benchmarks.bench_parts import Parts
    from tests.benchmarks.bench_storing import Storing
    from tests.benchmarks.comparison import Comparison
    from tests.benchmarks.figures import Summary, Verdict
    from tests.benchmarks.growth import Growth
    from tests.benchmarks.report import Report

_SAID: Final[Mapping[Verdict | None, str]] = {
    "reached": "reached",
    "missed": "missed",
    "open": "too few turns to say",
    None: "",
}


def table(name: str, report: Report) -> Iterator[str]:
    """The lines of a benchmark's tables, and what belongs to them."""
    if report.comparisons:
        both = name == "workers"
        yield from (_processes if both else _bare)(report)
        counted = ", PostgreSQL's counted in" if both else ""
        conditions = "; ".join(dict.fromkeys(each.conditions for each in report.comparisons))
        yield (
            f"\nHow many a second, and µs of processor time for one{counted}; medians. "
            f"{conditions}.\n"
        )
    elif (shown := chart.chart_of(name, report)) is not None:
        yield from _head("", "median", "")
        for bar in shown.bars:
            yield _row(bar.name, f"{bar.said}: {_word(bar)}" if bar.verdict else bar.said, bar.note)
        yield from _rated(report.growth)
        yield "".join(f"\n{each.store}: {each.conditions}.\n" for each in report.mixed)
    if report.parts:
        yield from _parted(report.parts)
    if report.tokens:
        yield from _tokens(report.tokens)
    if report.log is not None:
        yield from _log(report.log)
    if report.storing:
        yield from _stored(report.storing)


def _bare(report: Report) -> Iterator[str]:
    sides = ("bare", "here")
    yield from _head(
        "",
        *(f"{each}, a second" for each in sides),
        *(f"{each}, µs" for each in sides),
        *("PostgreSQL, µs", "ratio", "target"),
    )
    for found in report.comparisons:
        database = found.measured.database_us
        yield _row(
            found.name,
            *(f"{each.rate.median:,.0f}" for each in (found.bare, found.measured)),
            *(spread(each.cpu_us, 0) for each in (found.bare, found.measured)),
            "–" if database is None else spread(database, 0),
            _ratio(found),
            _target(found),
        )


def _ratio(found: Comparison) -> str:
    """Where PostgreSQL takes a share of the same cores and too few are done: by CPU as well."""
    said = spread(found.ratio, 2)
    shared = found.measured.database_us is not None and found.verdict == "missed"
    return f"{said}; by the service's CPU {spread(found.cpu_ratio, 2)}" if shared else said


def _target(found: Comparison) -> str:
    return "–" if found.target is None else f"{found.target:.2f}: {_word(chart.compared(found))}"


def _processes(report: Report) -> Iterator[str]:
    names = ("one process", "two processes")
    yield from _head(
        "",
        *(f"{each}, a second" for each in names),
        *(f"{each}, µs" for each in names),
        *("two to one", "target"),
    )
    for found in report.comparisons:
        word = _word(chart.compared(found))
        by_cpu = found.by == "CPU"
        ratio = spread(inverse(found.ratio) if by_cpu else found.ratio, 2)
        target = found.target or 1.0
        most = f"at most {1 / target:.2g} times" if by_cpu else f"at least {target:.2g} times"
        yield _row(
            found.name.removeprefix("Two processes: "),
            *(f"{each.rate.median:,.0f}" for each in (found.bare, found.measured)),
            *(spread(each.whole_us, 0) for each in (found.bare, found.measured)),
            f"{ratio} times the {'processor time' if by_cpu else 'rate'}",
            f"{most}: {word}",
        )


def _rated(growth: list[Growth]) -> Iterator[str]:
    """Under load, without a target."""
    for found in growth:
        for each in found.rates:
            name = f"{each.name}, {found.users[1]:,} people on {found.store}"
            yield _row(name, f"{spread(each.ratio, 2)} times the rate", each.note)


def _parted(found: list[Parts]) -> Iterator[str]:
    """Each part after what it is contained in, with as many dashes as it is deep."""
    yield from _head("", "of the loop, µs", "of other threads, µs")
    for request in found:
        for part in request.parts:
            whole = f"{request.request}: {part.name}"
            name = f"{'– ' * part.depth}{part.name}" if part.depth else whole
            yield _row(name, spread(part.us, 1), spread(part.others_us, 1))
    yield ""


def _tokens(costs: Mapping[str, Mapping[str, Summary]]) -> Iterator[str]:
    yield from _head("", "by whom", "µs")
    for what, ways in costs.items():
        for way, figure in ways.items():
            yield _row(what, way, spread(figure, 1))
    yield ""


def _log(found: LogFigures) -> Iterator[str]:
    yield from _head(f"{found.events:,} events on SQLite", "median", "target")
    rates = (
        ("the view of sessions rebuilt, events a second", found.rebuild, REBUILD_A_SECOND),
        ("the log alone proved, events a second", found.log_only, LOG_ONLY_A_SECOND),
        ("all that follows from it proved, events a second", found.whole, WHOLE_A_SECOND),
    )
    for what, figure, least in rates:
        word = _SAID[verdict(figure, least, at_least=True)]
        yield _row(what, spread(figure, 0), f"at least {least:,}: {word}")
    yield _row("the view by the library's runner", spread(found.stock, 0), "–")
    pages = (
        ("first page of a user's events, ms", found.by_user_ms),
        ("first page from a time on, ms", found.by_time_ms),
    )
    for what, figure in pages:
        word = _SAID[verdict(figure, FIRST_PAGE_MS)]
        yield _row(what, spread(figure, 2), f"at most {FIRST_PAGE_MS:g}: {word}")
    yield f"\n{found.rebuild.n} turns, {found.by_user_ms.n} pages.\n"


def _stored(stores: list[Storing]) -> Iterator[str]:
    columns = ("bytes", "of the log", "events", "events a second", "writer, µs", "database, µs")
    for found in stores:
        yield from _head(f"{found.people:,} people on {found.store}", *columns)
        for kind in found.kinds:
            figures = (kind.whole, kind.log, kind.events, kind.events_a_second)
            costs = (kind.writer_us, kind.database_us)
            yield _row(kind.name, *(f"{each:,.0f}" for each in (*figures, *costs)))
        yield ""
    yield "Bytes and events of one; µs of processor time an event.\n"


def _head(*cells: str) -> Iterator[str]:
    yield _row(*cells)
    yield _row(*("---" for _ in cells))


def _row(*cells: str) -> str:
    return "".join(f"| {each} " if each else "| " for each in cells) + "|"


def _word(bar: chart.Bar) -> str:
    """Whether the target is reached, and whether some turns say otherwise than the median."""
    decided = bar.verdict in {"reached", "missed"}
    at_edge = decided and bar.target is not None and bar.least < bar.target < bar.most
    return _SAID[bar.verdict] + (", at the edge" if at_edge else "")


def spread(figure: Summary, digits: int) -> str:
    """The median, and how far the turns spread."""
    median, least, most = (
        f"{each:,.{digits}f}" for each in (figure.median, figure.least, figure.most)
    )
    return f"{median} ({least} to {most})"
