"""The page of the documentation that shows what the benchmarks measured.

Its figures come from the JSON that is kept, but those that were sampled once, which it says;
`python -m tests.docs.generate` writes it anew, and a test checks that it and the charts are fresh.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.benchmarks import chart
from tests.benchmarks.report import KEPT, kept
from tests.benchmarks.tables import table

if TYPE_CHECKING:
    from tests.benchmarks.figures import Summary
    from tests.benchmarks.report import Report

PAGE: Final = KEPT.with_suffix(".md")

_BEGINS: Final = """\
# Benchmarks

For whoever compares, or wants to know where the time goes. The figures here come from the files \
beside this page, of which `python -m tests.docs.generate` makes it; but how the time is split \
among threads, told at the end, was [sampled once](#sampled-once).

`./run bench` measures all of this again and writes it anew, `./run bench NAME` one part; `./run \
bench --quick` takes two minutes and a little more, is less exact, and writes here only when \
`--charts` says so. Whether a target is reached is said by the median; \
where some turns reach it and others miss it, it is reached or missed at the edge, and where only \
two were taken, as in a quick run, neither.

## How it is measured

- **Real servers.** Each side is a process of its own, started for the purpose, with its \
database beside it on the same machine; so is what asks, which is wrk, or where there is none a \
client in Python. All of them share the machine's cores, so a rate here is not what the service \
reaches alone. The ratios are.
- **In turns.** Both sides are warmed up and then take turns, A B A B, so that a busy machine \
slows both. A ratio is taken of two turns that stand beside each other; what is shown is the \
median of those ratios, with the least and the greatest.
- **Beside what is bare.** That is an ordinary Litestar handler which reads the same body and \
says as many bytes, on the same server with the same limits, and does nothing else. For logins \
it is argon2-cffi in a loop, with the same parameters on as many threads.
- **Processor time.** What a request costs is the time of all processes of the service, as Linux \
counts it, over the number of requests; PostgreSQL's own is shown beside it. It depends less on \
what else a machine does than rates do. Where a target is missed on PostgreSQL, which takes a \
share of the same cores, the ratio by the service's processor time is told as well.
- **What doesn't count.** A run in which an answer was an error (400 and above), a connection \
broke, or the log got another number of events than it had to, is thrown away and said to have \
failed. So is one after whose turns two people, asking the same once more, aren't told each of \
themselves, with a token of their own and another one each time; one in which a wrong secret, or a \
token of a session that was ended, was let in; and one in which logins cost less than their hashes \
or, where they are to queue, didn't.
- **Others.** Where other programs took more than a twentieth of a core meanwhile, it says so \
below the figures; for a run whose day isn't told, where the machine was busy before.
- **Planned moments.** Where times are told and not rates, each request has its moment, and its \
time is counted from there: a server that stops answering isn't spared what waits meanwhile. Where \
so many ms are the target and no share of the answers is named, 99 of 100 (p99) were chosen; the \
worst is told beside it.
"""
_STANDS_BETWEEN: Final = """
## What stands between us and the bare framework

An empty handler costs what HTTP, the event loop and the framework cost. A request here costs more\
{beyond}, for these reasons:

- **The signature.** A `/refresh` makes one by ES256{sign}. It can't be remembered, as each \
token is another; those of one moment are [signed one after the \
other](../adr/0021-tokens-are-signed-together.md), since its tables push everything else out of \
the processor's caches. Verifying one costs more{verify}, which is why a signature that was right \
is [remembered](../adr/0019-right-signatures-are-remembered.md): whoever shows a token again pays \
for its SHA-256 and for the checks of its claims.
- **The look-up.** One row of the session and its user for each token, read from the database \
each time, since whoever was logged out a moment ago has to be refused [by the next request that \
starts](consistency.md). On SQLite it is a read on the event loop, on PostgreSQL a share of a \
query that serves all requests that wait.
- **The event**, where there is one: a durable commit, which requests share that come at the same \
time ([a request](a-request.md)). A steady `/refresh` has none; one that rotates has. Since in \
CPython only one of loop and writer runs, one core is what there is where each request writes, \
and a batch begins [when the loop rests](../adr/0022-a-batch-begins-when-the-loop-rests.md). What \
an event adds to the loop's time and what the writer and the view that follows take is \
[told above](#where-the-time-of-a-refresh-goes). To reach what was wanted for the two that write, \
and was missed, 30 to 50 µs would have had to go, and no part but the signature costs as much.
- **What every answer has**: an id, headers that keep browsers in line, a line in the log, a \
count ([how much](#where-the-time-of-a-refresh-goes)).
- **The framework's own layers** are left out where they cost as much as the work, as at \
`/refresh` ([why](../adr/0018-hot-handlers-are-called-at-once.md)), and stay everywhere else.

A login or a registration is a hash with little around it, and is meant to be: it costs what \
guessing costs. That little was 0.8 ms beside hashes that cost nothing, and 2.5 ms beside real \
ones (1.6 of the loop, 0.9 of the writer; [sampled once](#sampled-once), too), which fill the \
processor's caches with 19 MiB of their own fifty times a second and more. Hashes run in threads \
of the lowest priority, so that the rest of the service answers while logins queue.

### Sampled once

What is marked so is in none of the files: it was sampled once, apart from the benchmarks, on the \
same machine, by Linux's accounting of each thread and a profiler that samples. `./run bench` \
doesn't measure it again, so it may differ from the tables above, and says no more than which part \
is large.
"""


class Part(NamedTuple):
    """A benchmark on the page: heading, what it is about, what its picture shows if it has one."""

    heading: str
    about: str
    picture: str = ""


PARTS: Final[Mapping[str, Part]] = {
    "refresh": Part(
        "Refreshing",
        "Steadily, which writes nothing; with each use recorded; and rotating, which writes an "
        "event each time. At last steadily with so many sessions that nothing which the process "
        "remembers of one is still there when its turn comes again: what a refresh costs where "
        "that doesn't help.",
        "/refresh as a share of an empty handler's rate",
    ),
    "parts": Part(
        "Where the time of a refresh goes",
        "Processor time of one, taken apart on SQLite: without a server and its sockets, whose "
        "part is what the rows above have more; by 64 callers at once. Each row is measured by "
        "itself, in turn with the others, and those with a dash are part of the nearest row above "
        "that has one dash less. What is left between a row and its parts is the rest of it: of "
        "the service what every answer has (an id, headers that keep browsers in line, a line in "
        "the log, a count), of the handler reading the body and writing the answer, of the use "
        "case its rules and the name that is unsealed.",
    ),
    "bearer": Part(
        "Showing an access token",
        "`GET /me`, and introspection by a bearer, for which two tokens are verified. Tokens are "
        "shown again and again, as clients show them. At last so many that each is forgotten when "
        "its turn comes again, and every signature is verified anew.",
        "GET /me and introspection as a share of an empty handler's rate",
    ),
    "authenticate": Part(
        "Logging in and registering",
        "A hash by argon2id each, beside argon2-cffi alone, which has no database beside it.",
        "/authenticate and /register as a share of bare argon2's rate",
    ),
    "mixed": Part(
        "While logins queue",
        "`/refresh` at a fixed rate, alone and beside logins; and how fast is refused what is too "
        "much.",
        "Times beside logins as a share of what they may be",
    ),
    "workers": Part(
        "A second process",
        "On one PostgreSQL, beside one process: what it costs, and what two processes cost each "
        "other that write for the same user. What PostgreSQL takes for them counts, too.",
        "Two processes as a share of one",
    ),
    "growth": Part(
        "A store that has grown",
        "What requests take on a large store, as multiples of what they take on one of 1,000 "
        "people: of all kinds that which is slowed down most; what the process holds in memory; "
        "and how many refreshes a second there are under load. [Scale](scale.md) has all of them "
        "for the largest, and says what follows.",
        "Times and memory on a large store as a share of what they may be",
    ),
    "verifying": Part(
        "Verifying in a service of yours",
        "The Python client's `Verifier` beside PyJWT's `decode`, in µs of processor time.",
        "Verifying as a share of what it may cost",
    ),
    "tokens": Part(
        "Signing and verifying",
        "An access token beside the bare signature, in µs of processor time a call.",
    ),
    "log": Part("A long log", "How fast what follows from it is made anew, and it is proved."),
    "storing": Part(
        "What is stored",
        "For each thing that people do, and what it takes the one writer to append it. "
        "[Scale](scale.md) says what follows.",
    ),
    "pages": Part("Pages", "Processor time of the service for one page.", "The dearest pages"),
    "idle": Part("Doing nothing", "With all that a service does by itself.", "Idle services"),
}


def page(folder: Path = KEPT) -> str:
    """The page, of what is kept."""
    reports = kept(folder)
    costs = reports["tokens"].tokens if "tokens" in reports else {}
    between = _STANDS_BETWEEN.format(
        beyond=_beyond(reports),
        sign=_token(costs.get("ES256 sign")),
        verify=_token(costs.get("ES256 verify")),
    )
    parts = "".join(
        "\n".join(_part(name, part, reports[name], folder)) + "\n"
        for name, part in PARTS.items()
        if name in reports
    )
    return f"{_BEGINS}\n{parts}{between.lstrip()}"


def files(folder: Path = KEPT) -> dict[Path, str]:
    """Each file that is made of what is kept, and what it says."""
    drawn = {
        folder / f"{name}.svg": chart.draw(name, report) for name, report in kept(folder).items()
    }
    return {PAGE: page(folder), **{path: text for path, text in drawn.items() if text is not None}}


def write() -> None:
    """Write the page and the charts anew."""
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")


def _part(name: str, part: Part, report: Report, folder: Path) -> Iterator[str]:
    yield f"## {part.heading}\n"
    yield f"{part.about}\n"
    if part.picture:
        yield f"[![{part.picture}]({folder.name}/{name}.svg)]({folder.name}/{name}.svg)\n"
    yield from table(name, report)
    yield _where(report)


def _where(report: Report) -> str:
    here = report.machine
    sizes = dict.fromkeys(
        f"{each.size.turns} turns of {each.size.seconds:g} s" for each in report.comparisons
    )
    versions = ", ".join(f"{name} {each}" for name, each in here.versions.items())
    kind = "A quick run" if report.quick else "A full run"
    kind += f" of {report.made}" if report.made else ""
    if report.commit:
        changed = " with changes" if report.commit.endswith("+") else ""
        kind += f" on {report.commit.removesuffix('+')}{changed}"
    kind += ", which says little" if report.quick else ""
    busy = " Others used the machine meanwhile, so the figures are noisy." if report.busy else ""
    said = [kind, *sizes, f"{here.cpu}, {here.cores} cores", here.system]
    if here.files:
        said.append(here.files)
    said += [here.python, versions]
    if report.comparisons:
        said.append(f"load from {report.load_from}")
    return f"{'; '.join(said)}.{busy}\n"


def _beyond(reports: Mapping[str, Report]) -> str:
    """How much more is used here than by what is bare, on SQLite, where the benchmarks tell."""
    asked = ("/refresh on SQLite", "GET /me on SQLite", "/oauth/introspect on SQLite")
    told = [
        f"{each.measured.cpu_us.median:,.0f} µs and not {each.bare.cpu_us.median:,.0f} for "
        f"`{each.name.removesuffix(' on SQLite')}`"
        for name in ("refresh", "bearer")
        if name in reports
        for each in reports[name].comparisons
        if each.name in asked
    ]
    return f" (on SQLite {', '.join(told)})" if told else ""


def _token(costs: Mapping[str, Summary] | None) -> str:
    if costs is None:
        return ""
    bare, ours = costs["bare cryptography"].median, costs["gatebook, whole token"].median
    return f" ({ours:.0f} µs for a whole token, {bare:.0f} of them for the bare signature)"
