"""A report as bars, in a picture of its own: light or dark as its beholder likes.

What is compared with something bare is drawn as a share of that, where more is better; what has a
limit as a share of the limit, where less is. Each bar ends at the median; the line below goes from
the least turn to the greatest, the mark across is the target. Knows no benchmark's meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple
from xml.sax.saxutils import escape

from tests.benchmarks.bench_idle import PERCENT
from tests.benchmarks.bench_pages import MOST_MS
from tests.benchmarks.bench_verifying import TARGET as VERIFYING_TARGET
from tests.benchmarks.figures import summary, told, verdict
from tests.benchmarks.growth import RESIDENT_MB, START_WITHIN, WITHIN

if TYPE_CHECKING:
    from tests.benchmarks.comparison import Comparison, Side
    from tests.benchmarks.figures import Summary, Verdict
    from tests.benchmarks.growth import Growth
    from tests.benchmarks.mixed import Mixed
    from tests.benchmarks.report import Report

DEAREST: Final = 8
"""Of the pages, which are many."""

_WIDTH: Final = 720
_LEFT: Final = 18
_HEAD: Final = 64
_ROW: Final = 68
_FOOT: Final = 30
_ROOM: Final = 1.12
"""How much longer the scale is than what it has to hold."""
_STYLE: Final = """
.chart{--back:#fff;--ink:#16201b;--soft:#52605a;--line:#cbd6d1;--lane:#eef3f0;--good:#0b7d69;
--missed:#b26a00;--plain:#2f5fd0;
font:13px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
@media(prefers-color-scheme:dark){.chart{--back:#0e1412;--ink:#e7eeea;--soft:#a0aea8;
--line:#34423c;--lane:#1a2420;--good:#4fcdb3;--missed:#e6ac52;--plain:#86a8ff}}
text{fill:var(--ink)}
.head{font-size:17px;font-weight:650}
.name{font-weight:600}
.soft{fill:var(--soft)}
.small{font-size:11.5px}
.end{text-anchor:end}
.middle{text-anchor:middle}
.back{fill:var(--back);stroke:var(--line)}
.lane{fill:var(--lane)}
.good{fill:var(--good)}
.missed{fill:var(--missed)}
.plain{fill:var(--plain)}
.one{stroke:var(--soft);stroke-dasharray:3 4}
.mark{stroke:var(--ink);stroke-width:2.5}
.reach{stroke:var(--ink);stroke-width:1.5}
"""

_KINDS: Final[dict[Verdict | None, str]] = {
    None: "plain",
    "open": "plain",
    "reached": "good",
    "missed": "missed",
}


class Bar(NamedTuple):
    """A row: shares, `target` None where there is none; `said` and `note` are words beside it."""

    name: str
    value: float
    least: float
    most: float
    target: float | None
    verdict: Verdict | None
    said: str
    note: str


class Chart(NamedTuple):
    """A picture's title, what 1 means in it, and its rows."""

    title: str
    one: str
    bars: Sequence[Bar]


def chart_of(name: str, report: Report) -> Chart | None:
    """What a benchmark measured; None where there is nothing to compare."""
    if report.comparisons:
        one = "one process" if name == "workers" else "what is bare"
        return Chart(f"{name}: share of {one}", one, list(map(compared, report.comparisons)))
    limited: list[Bar] = []
    for mixed in report.mixed:
        limited += _mixed(mixed)
    for verified in report.verifying:
        limited.append(_limited(verified.algorithm, verified.ratio, VERIFYING_TARGET, "of PyJWT's"))
    for idle in report.idle:
        limited.append(_limited(f"Idle on {idle.store}", idle.percent, PERCENT, "% of a core"))
    for grown in report.growth:
        limited += _grown(grown)
    dearest = sorted(report.pages, key=lambda page: -page.ms.median)[:DEAREST]
    for page in dearest:
        limited.append(_limited(page.path, page.ms, MOST_MS, "ms of CPU"))
    if not limited:
        return None
    title = f"{name}: the {DEAREST} dearest" if dearest else f"{name}: share of what it may be"
    return Chart(title, "the most that it may be", limited)


def draw(name: str, report: Report) -> str | None:
    """The picture as SVG; None where there is none."""
    chart = chart_of(name, report)
    if chart is None:
        return None
    height = _HEAD + _ROW * len(chart.bars) + _FOOT
    scale = (_WIDTH - 2 * _LEFT) / (_ROOM * max(1.0, *map(_furthest, chart.bars)))
    tells = " ".join(f"{bar.name}: {bar.said}." for bar in chart.bars)
    made = f"{report.machine.cpu}, {report.machine.cores} cores"
    made += ", a quick run" if report.quick else ""
    made += ", while others used the machine" if report.busy else ""
    rows = (_row(bar, _HEAD + _ROW * place, scale) for place, bar in enumerate(chart.bars))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" width="{_WIDTH}" '
        f'height="{height}" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-labelledby="title tells">\n<title id="title">{escape(chart.title)}</title>\n'
        f'<desc id="tells">{escape(tells)}</desc>\n<style>{_STYLE}</style>\n'
        f'<rect class="back" x=".5" y=".5" width="{_WIDTH - 1}" height="{height - 1}" rx="14"/>\n'
        f"{_text('head', _LEFT, 32, chart.title)}\n"
        f"{_text('soft small', _LEFT, 51, made)}\n"
        f"{''.join(rows)}"
        f"{_text('soft small middle', _LEFT + scale, height - 12, chart.one)}\n</svg>\n"
    )


def _furthest(bar: Bar) -> float:
    """What the scale has to hold; a turn far off goes off the picture."""
    return max(bar.value, bar.target or 0.0)


def _row(bar: Bar, top: int, scale: float) -> str:
    right = _WIDTH - _LEFT

    def at(share: float) -> float:
        return min(_LEFT + share * scale, right)

    kind = _KINDS[bar.verdict]
    lane = f'x="{_LEFT}" y="{top + 20}" width="{right - _LEFT}" height="12" rx="3"'
    drawn = f'x="{_LEFT}" y="{top + 20}" width="{at(bar.value) - _LEFT:.1f}" height="12" rx="3"'
    least, most = at(bar.least), at(bar.most)
    ends = f"M{least:.1f} {top + 34}v8M{most:.1f} {top + 34}v8"
    parts = [
        _text("name", _LEFT, top + 13, bar.name),
        _text("end", right, top + 13, bar.said),
        f'<rect class="lane" {lane}/>',
        f'<rect class="{kind}" {drawn}/>',
        f'<path class="one" d="M{at(1.0):.1f} {top + 17}v26"/>',
        f'<path class="reach" d="M{least:.1f} {top + 38}H{most:.1f}{ends}"/>',
    ]
    if bar.target is not None:
        parts.append(f'<path class="mark" d="M{at(bar.target):.1f} {top + 17}v18"/>')
    parts.append(_text("soft small", _LEFT, top + 57, bar.note))
    return "\n".join(parts) + "\n"


def _text(kind: str, x: float, y: int, said: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y}">{escape(said)}</text>'


def compared(found: Comparison) -> Bar:
    """The row of a comparison."""
    ratio, by = found.ratio, "by processor time, " if found.by == "CPU" else ""
    said = f"{ratio.median:.2f} ({ratio.least:.2f} to {ratio.most:.2f})"
    if found.target is not None:
        said += f", {by}target {found.target:.2f}"
    note = f"µs of CPU a {found.unit}: {found.bare.name} {_cpu(found.bare)}, "
    note += f"{found.measured.name} {_cpu(found.measured)}; {ratio.n} turns each"
    return Bar(
        *(found.name, ratio.median, ratio.least, ratio.most, found.target, found.verdict),
        said,
        note,
    )


def _cpu(side: Side) -> str:
    own = f"{side.cpu_us.median:,.0f}"
    return (
        own if side.database_us is None else f"{own} and PostgreSQL {side.database_us.median:,.0f}"
    )


def _mixed(found: Mixed) -> Iterator[Bar]:
    alone, beside = found.alone.p99.median, found.beside.p99.median
    queued = found.beside_refused
    logins = "logins" if queued is None else f"logins ({queued} refused)"
    turns = found.refusal.p99.n
    times = f"logins refused; {turns} turn{'s' if turns > 1 else ''}"
    notes = (
        f"p99 alone {alone:.1f} ms, beside {logins} {beside:.1f} ms; {found.ratio.n} turns each",
        f"worst answer {found.health.most:.1f} ms; {found.health.p99.n} turns",
        f"worst answer {found.refusal.most:.1f} ms; {found.refused} of {found.overload} {times}",
    )
    for row, note in zip(found.rows, notes, strict=True):
        figure = row.figure
        said = f"{told(figure.median, row.most, 1)} ({figure.least:.1f} to {figure.most:.1f})"
        said += f", at most {row.most:g}"
        yield _share(row.name, row.figure, row.most, said, note)


def _grown(found: Growth) -> Iterator[Bar]:
    """What costs most on the large store, of each kind; times as shares of the small one's."""
    where = f"{found.users[1]:,} people on {found.store}"
    slowest = max(found.asked, key=lambda asked: asked.median_ratio.median)
    yield _limited(f"{slowest.name}, p50, {where}", slowest.median_ratio, WITHIN, "times")
    latest = max(found.asked, key=lambda asked: asked.late_ratio)
    late = _limited(f"{latest.name}, p99, {where}", summary([latest.late_ratio]), WITHIN, "times")
    note = f"of all {latest.requests} requests"
    if latest.late_within is not None:
        least, most = latest.late_within
        note += f"; by chance {least:.2f} to {most:.2f}"
        late = late._replace(least=least / WITHIN, most=most / WITHIN)
    yield late._replace(verdict=latest.late_verdict, note=note)
    yield _limited(f"Cold start, {where}", found.start_ratio, START_WITHIN, "times")
    memory = _limited(f"Memory, {where}", summary([found.loaded_mb]), RESIDENT_MB, "MB")
    yield memory._replace(note=f"after {found.loaded:,} requests of as many people")


def _limited(name: str, figure: Summary, most: float, unit: str) -> Bar:
    said = f"{told(figure.median, most, 2)} {unit}, at most {most:g}"
    return _share(
        name, figure, most, said, f"{figure.least:.2f} to {figure.most:.2f}; {figure.n} turns"
    )


def _share(name: str, figure: Summary, most: float, said: str, note: str) -> Bar:
    median, least, worst = (each / most for each in (figure.median, figure.least, figure.most))
    return Bar(name, median, least, worst, 1.0, verdict(figure, most), said, note)
