"""Measured figures that pages tell in their own tables and sentences: those that are kept.

Whoever measures again is told which words the new figures want. What only a benchmark printed, or
a long proof, is not looked at. Knows nothing of how the figures came about.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

import pytest

from tests.benchmarks.report import kept
from tests.docs.pages import DOCS, ROOT, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.bench_storing import Kind
    from tests.benchmarks.figures import Summary
    from tests.benchmarks.growth import Growth
    from tests.benchmarks.report import Report

SCALE: Final = DOCS / "explanation" / "scale.md"
WHY: Final = DOCS / "explanation" / "why-event-sourcing.md"
STORED: Final = {
    "a user": "a user",
    "a login, with its session": "a login from a known network",
    "a login from a network that is new": "a login from a network that is new",
    "the first use of a token": "a token's first use",
    "a day of a live session, however often it refreshes": "a day of a live session",
    "the same day with `GATEBOOK_REFRESH_AUDIT=every`, refreshed each hour": (
        "the same with 24 uses, each recorded"
    ),
    "a rotation": "a rotation",
    "the end of a session": "the end of a session",
}
"""By the page's words, those of the benchmark."""
DAILY: Final = {
    "days of live sessions, of those who need not log in": "a day of a live session",
    "logins, from networks that are known": "a login from a known network",
    "first uses of their tokens": "a token's first use",
    "ends of sessions": "the end of a session",
    "registrations": "a user",
}


@cache
def reports() -> dict[str, Report]:
    """What is kept of each benchmark."""
    return kept()


def row(page: str, begins: str) -> list[str]:
    """The cells of a table's row after the first, which is told."""
    (found,) = (line for line in page.splitlines() if line.startswith(f"| {begins} |"))
    return [each.strip() for each in found.strip("|").split("|")][1:]


def stored(store: str) -> dict[str, Kind]:
    """What each thing took on a kind of store."""
    (found,) = (each for each in reports()["storing"].storing if each.store.startswith(store))
    return {kind.name: kind for kind in found.kinds}


def near(said: str, unit: str, found: float, what: str, within: float = 0.05) -> None:
    """What is said, with one digit after the point, is what was found."""
    assert said.endswith(f" {unit}"), said
    told = float(said.removesuffix(f" {unit}"))
    assert abs(told - found) <= within + 1e-9, (
        f"{SCALE.name} says {said} of {what}, and by storing.json it is {found:.2f} {unit}: "
        "write that, and what the page concludes from it."
    )


@pytest.mark.parametrize("what", STORED)
def test_what_is_stored_is_told_as_it_was_measured(what: str) -> None:
    kinds = [stored(store)[STORED[what]] for store in ("SQLite", "PostgreSQL")]
    told = [f"{each.whole / 1000:.1f} kB ({each.log / 1000:.1f})" for each in kinds]
    assert row(read(SCALE), what) == told, (
        f"{SCALE.name} says otherwise of {what} than storing.json: {' and '.join(told)}"
    )


def test_a_hundred_million_users_take_what_follows_from_what_was_measured() -> None:
    page, kinds = read(SCALE), stored("PostgreSQL")
    events, whole, log = 0.0, 0.0, 0.0
    for what, name in DAILY.items():
        many, of_them, all_of_it, of_the_log = row(page, what)
        times, kind = int(many.replace(",", "")), kinds[name]
        assert int(of_them.replace(",", "")) == times * kind.events
        near(all_of_it, "GB", times * kind.whole / 1e9, what)
        near(of_the_log, "GB", times * kind.log / 1e9, f"the log's part of {what}")
        events += times * kind.events
        whole += times * kind.whole / 1e9
        log += times * kind.log / 1e9
    _, of_them, all_of_it, of_the_log = row(page, "together")
    assert int(of_them.replace(",", "")) == events
    # Those who add up what the rows say may get a little more or less.
    near(all_of_it, "GB", whole, "a day", 0.1)
    near(of_the_log, "GB", log, "the log's part of a day", 0.1)
    said = re.search(r"and (\S+ TB) for each year, of which (\S+ TB) are log", page)
    assert said is not None
    near(said[1], "TB", whole * 365 / 1000, "a year")
    near(said[2], "TB", log * 365 / 1000, "the log's part of a year")
    first = kinds["a user"], kinds["a login from a network that is new"]
    each = " and ".join(f"{kind.whole / 1000:.1f}" for kind in first).replace(" and", " kB and")
    begun = sum(kind.whole for kind in first) * 1e8 / 1e12
    assert f"{begun:.2f} TB for a hundred million users" in page
    assert f"({each} for each)" in page


def grown() -> Iterator[tuple[Growth, int]]:
    """The largest store of each kind, and the column where the table tells of it."""
    for column, store in ((0, "SQLite"), (3, "PostgreSQL")):
        several = [each for each in reports()["growth"].growth if each.store.startswith(store)]
        yield max(several, key=lambda each: each.users[1]), column


def test_what_grows_is_told_as_it_was_measured() -> None:
    page = read(SCALE).replace("`", "").replace(", the newest", ", newest")
    page = page.replace(", the first page", ", first page")
    for growth, column in grown():
        for asked in growth.asked:
            ratios = (
                asked.median_ratio.median,
                asked.late_ratio,
                asked.cpu_us[1] / asked.cpu_us[0],
            )
            told = row(page, asked.name)[column : column + 3]
            assert told == [f"{each:.2f}" for each in ratios], (
                f"{SCALE.name} says otherwise of {asked.name} on {growth.store} than growth.json"
            )


def ratio(benchmark: str, name: str, words: str) -> str:
    """What a comparison whose name begins so came to, with words after the median."""
    (found,) = (each for each in reports()[benchmark].comparisons if each.name.startswith(name))
    figure = found.ratio
    return f"{figure.median:.2f} {words} ({figure.least:.2f}–{figure.most:.2f})"


def rate(figure: Summary) -> str:
    """Of a second, with its spread, to a hundred: the other digits say nothing."""
    return "{:,.0f} ({:,.0f}–{:,.0f})".format(
        *(round(each, -2) for each in (figure.median, figure.least, figure.most))
    )


def costs() -> Iterator[tuple[str, list[str]]]:
    """Rows of the page of costs, by how each begins, and the words that are wanted in them."""
    yield (
        "`/refresh`, beside an empty handler of the framework",
        [
            ratio("refresh", "/refresh on SQLite", "times as many requests a second on SQLite"),
            ratio("refresh", "/refresh on PostgreSQL", "on PostgreSQL"),
        ],
    )
    yield (
        "`/authenticate`, beside the bare hash that it has to make",
        [ratio("authenticate", "/authenticate on SQLite", "times as many a second")],
    )
    pages = [each.ms.median for each in reports()["pages"].pages]
    yield "a page, with a full store behind it", [f"{min(pages):.1f} to {max(pages):.1f} ms of CPU"]
    idle = {f"{each.percent.median:.1f} % of a core" for each in reports()["idle"].idle}
    yield "a service that nobody asks", sorted(idle)
    log = reports()["log"].log
    assert log is not None
    for what, figure in (
        ("rebuilding the view of sessions", log.rebuild),
        ("proving the log alone", log.log_only),
        ("proving everything that follows from it", log.whole),
    ):
        yield what, [rate(figure), f"{1e6 / figure.median:.0f} seconds"]


def test_what_it_costs_is_told_as_it_was_measured() -> None:
    for what, wanted in costs():
        said = " | ".join(row(read(WHY), what))
        for words in wanted:
            assert words in said, f"{WHY.name} says “{said}”, and the kept figures “{words}”"


def test_what_people_take_is_told_alike_on_the_page_of_costs() -> None:
    kinds = stored("SQLite")
    login, user = kinds["a login from a known network"], kinds["a user"]
    page = read(WHY)
    assert f"It takes {login.whole / 1000:.1f} kB of SQLite's file" in page
    assert f"of which {login.log / 1000:.1f} kB stay for good" in page
    registered = f"a registration takes {user.whole / 1000:.1f} kB, {user.log / 1000:.1f} of them"
    assert registered in page


def test_the_readme_rounds_what_was_measured() -> None:
    said = (
        "a steady refresh goes at two thirds of an empty handler's rate, and a login costs little"
    )
    assert said in read(ROOT / "README.md")
    found = {each.name: each.ratio.median for each in reports()["refresh"].comparisons}
    steady = [of for name, of in found.items() if re.fullmatch(r"/refresh on [^,]+", name)]
    assert len(steady) == 2
    assert all(round(each * 12) == 8 for each in steady), "it is two thirds no longer"
    login = reports()["authenticate"].comparisons[0].ratio.median
    assert login > 0.85, "it is little no longer"
