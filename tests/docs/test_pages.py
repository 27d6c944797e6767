"""The pages: fresh, complete, and true about the files, tests and pages that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import gatebook_client
from app.http.problem import BY_CODE
from app.settings import PREFIX, SETTINGS
from app.web.model.standalone import standalone
from domain.catalogue import EVENTS
from gatebook_client.credentials import NAMES as CLIENT_NAMES
from gatebook_client.credentials import PREFIX as CLIENTS
from tests.benchmarks import page as benchmarks
from tests.docs.generate import PAGES as GENERATED
from tests.docs.generate import PICTURE, REFERENCE, commands, figures
from tests.docs.pages import DOCS, PAGES, ROOT, anchors, files_named, links, name, prose, read

RULES = DOCS / "explanation" / "security-rules.md"
FOR_WHOM = re.compile(r"\bFor (?:every|some|who|an? )")
COMMAND = re.compile(r"(?:`|\./run |/|gatebook )gatebook ([a-z]+(?: [a-z-]+)?)\b")
"""In code, in a checkout, in a container, and installed."""
OUTSIDE = ("http://", "https://")
SCREEN = 800
"""Pixels of a page that are seen at once, for a picture that leaves room for more."""
RULE = re.compile(r"^\*\*(\d+)\.\*\* ", re.MULTILINE)
TOLD = re.compile(r"[Ss]ecurity rules? (\d+(?:(?:, | and | to )\d+)*)")


@pytest.mark.parametrize("page", GENERATED)
def test_a_generated_page_is_fresh(page: str) -> None:
    """`python -m tests.docs.generate` writes it anew."""
    assert (REFERENCE / page).read_text(encoding="utf-8") == GENERATED[page]()


def test_the_picture_of_the_model_is_fresh() -> None:
    """The same program draws it."""
    assert PICTURE.read_text(encoding="utf-8") == standalone()


def test_the_page_of_benchmarks_and_its_charts_are_what_the_figures_say() -> None:
    """The same program makes them."""
    made = benchmarks.files()
    assert {path: path.read_text(encoding="utf-8") for path in made} == made
    assert set((DOCS / "explanation" / "benchmarks").glob("*.svg")) < set(made)


def test_every_setting_event_problem_command_and_figure_is_on_a_page() -> None:
    said = "\n".join(read(page) for page in PAGES)
    wanted = {
        *(each.name for each in SETTINGS),
        *EVENTS,
        *BY_CODE,
        *(" ".join(("gatebook", *path)) for path, _ in commands()),
        *(figure for figure, *_ in figures()),
    }
    assert {each for each in wanted if f"`{each}" not in said} == set()


def test_a_page_names_no_setting_that_there_is_not() -> None:
    real = {name for each in SETTINGS for name in (each.name, each.file_name)}
    real |= {f"{CLIENTS}{name}{file}" for name in CLIENT_NAMES for file in ("", "_FILE")}
    for page in PAGES:
        named = set(re.findall(rf"\b{PREFIX}[A-Z_]+[A-Z]\b", read(page)))
        others = {"GATEBOOK_CLIENT", "GATEBOOK_TEST", "GATEBOOK_VERIFIER"}  # the last is Django's
        assert named - real <= others, name(page)


def test_a_page_names_no_command_that_there_is_not() -> None:
    """In code, and in what is typed: `gatebook users grant`."""
    real = {path for path, _ in commands()}
    groups = {path[:1] for path in real if len(path) > 1}
    named = {
        (name(page), tuple(found[: 2 if found[:1] in groups else 1]))
        for page in PAGES
        for found in map(tuple, map(str.split, COMMAND.findall(read(page))))
    }
    assert len(named) > 50
    assert {each for each in named if each[1] not in real} == set()


def test_every_setting_is_read_by_something() -> None:
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "app").rglob("*.py")
        if path.name != "settings.py"
    )
    unread = {each.name for each in SETTINGS if not re.search(rf"\.{each.field}\b", source)}
    assert unread == set()


def test_every_variable_of_a_client_is_on_its_page() -> None:
    said = read(REFERENCE / "python-client.md")
    assert {each for each in CLIENT_NAMES if f"`{CLIENTS}{each}`" not in said} == set()


def test_everything_that_a_client_exports_is_on_its_page() -> None:
    python, javascript = (
        read(REFERENCE / f"{each}-client.md") for each in ("python", "javascript")
    )
    public = {*gatebook_client.__all__} - {"__version__"}
    assert {each for each in public if f"`{each}" not in python} - values_on(python) == set()
    exports = re.compile(r"^export (?:type )?\{ (.+) \}|^export \w+ (\w+)", re.MULTILINE)
    sources = ("index.ts", "browser.ts", "node.ts", "verify/index.ts")
    named = {
        each
        for source in sources
        for several, one in exports.findall(read(ROOT / "clients" / "javascript" / "src" / source))
        for each in (several or one).split(", ")
    }
    assert {"createClient", "fileStore", "localStorageStore", "bearer", "Fetch"} <= named
    assert named - values_on(javascript) == set()


def values_on(page: str) -> set[str]:
    """What has a heading of its own."""
    return set(re.findall(r"^### (\w+)$", page, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith(OUTSIDE):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    for named in files_named(page):
        path = ROOT / named.path
        assert path.exists(), named.path
        if named.function:
            assert f"def {named.function}(" in read(path), named


def test_the_first_screen_of_the_readme_shows_the_model_and_a_real_session() -> None:
    before, first, *_ = read(ROOT / "README.md").split("\n## ")
    picture, _, session = f"{before}{first}".partition("](docs/model.svg)")
    assert "![" in picture
    assert "```sh" in session
    assert "audit log" in session
    assert "user.registered" in session
    width, height = map(int, re.findall(r'(?:width|height)="(\d+)"', read(PICTURE))[:2])
    assert max(width, height) <= SCREEN


def test_every_page_is_on_the_map() -> None:
    home = DOCS / "README.md"
    decisions = DOCS / "adr" / "README.md"
    listed = {
        (source.parent / link.partition("#")[0]).resolve()
        for source in (home, decisions)
        for link in links(source)
        if not link.startswith(OUTSIDE)
    }
    assert set(PAGES) - listed <= {home}


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name != "adr"], ids=name)
def test_a_page_says_first_whom_it_is_for(page: Path) -> None:
    if page == ROOT / "README.md":
        assert read(page).startswith("# Gatebook\n\nGatebook is ")
    else:
        title, paragraph = re.split(r"\n\n", prose(page), maxsplit=2)[:2]
        assert re.fullmatch(r"# .+", title)
        assert FOR_WHOM.match(paragraph), paragraph


def rules_told() -> Iterator[tuple[int, str]]:
    """Each rule that a test's docstring names, with the file."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        for found in TOLD.findall(path.read_text(encoding="utf-8")):
            first, *rest = (int(each) for each in re.findall(r"\d+", found))
            for rule in range(first, rest[0] + 1) if " to " in found else (first, *rest):
                yield rule, name(path)


def test_security_rules_are_tested_where_the_page_says() -> None:
    _, *parts = RULE.split(prose(RULES).partition("\n## Bugs")[0])
    told = set(rules_told())
    assert [int(number) for number in parts[::2]] == list(range(1, 31))
    for number, text in zip(map(int, parts[::2]), parts[1::2], strict=True):
        files = set(re.findall(r"`(tests/[\w/.]+)`", text))
        assert files or "*To come:*" in text, number
        assert {file for file in files if (number, file) not in told} == set(), number
        assert files or number not in {rule for rule, _ in told}, number
