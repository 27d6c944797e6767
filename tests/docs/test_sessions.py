"""Every session that a page shows runs, against a real service, and answers what the page says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, Fence, fences, name
from tests.docs.session import ADDRESS, OWN_ADDRESS, Step, differences, steps
from tests.ports import free_port
from tests.postgres import PostgresServer

ON_POSTGRES = DOCS / "how-to" / "run-on-postgresql.md"
DATABASE = "postgresql://gatebook:choose-another@localhost/gatebook"
SHOWN = {page for page in PAGES if any(each.language == "sh" for each in fences(page))}
FOLLOWED = {DOCS / "how-to" / name for name in ("add-a-projection.md", "add-or-change-an-event.md")}
"""In a copy of the project, by another test."""
RUN = {"sh", "text", "python", "sql"}
TRIED_ELSEWHERE = {
    **{page: {"diff"} for page in FOLLOWED},
    DOCS / "how-to" / "run-behind-a-proxy.md": {"nginx"},
    ON_POSTGRES: {"ini"},
}
"""Kinds of fences that another test tries, by page."""
FIRST = {DOCS.parent, DOCS / "tutorial"}
TRIED = [
    pytest.param(page, marks=[] if page.parent in FIRST else [pytest.mark.long], id=name(page))
    for page in sorted(SHOWN - {ON_POSTGRES} - FOLLOWED)
]
"""The short form follows the pages for beginners."""


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def curl() -> None:
    if shutil.which("curl") is None:
        pytest.skip("There is no curl here: the sessions of the documentation were NOT tried.")


def said(page: Path, directory: Path, port: int, more: Mapping[str, str] | None = None) -> str:
    """What the page says otherwise than it is; the empty text when nothing."""
    own = free_port()
    stands_for = {
        ADDRESS: f"127.0.0.1:{port}",
        OWN_ADDRESS: f"127.0.0.1:{own}",
        "--port 8001": f"--port {own}",
        **(more or {}),
    }
    found = steps(fences(page), directory, {"GATEBOOK_PORT": str(port)}, stands_for)
    return "\n".join(differences(found))


@pytest.mark.parametrize("page", TRIED)
def test_what_a_page_shows_is_so(page: Path, tmp_path: Path, port: int, curl: None) -> None:
    wrong = said(page, tmp_path, port)
    assert not wrong, wrong


@pytest.fixture
def postgres_of_our_own() -> Iterator[PostgresServer]:
    """One whose roles nobody else sees."""
    with PostgresServer() as server:
        yield server


@pytest.mark.long
def test_what_the_page_of_postgresql_shows_is_so(
    postgres_of_our_own: PostgresServer, tmp_path: Path, port: int
) -> None:
    for statement in (each for each in fences(ON_POSTGRES) if each.language == "sql"):
        for line in statement.text.splitlines():
            postgres_of_our_own.psql(line)
    there = DATABASE.replace("localhost", f"127.0.0.1:{postgres_of_our_own.port}")
    wrong = said(ON_POSTGRES, tmp_path, port, {DATABASE: there})
    assert not wrong, wrong


def test_every_fence_is_of_a_kind_that_is_tried() -> None:
    for page in PAGES:
        kinds = RUN | TRIED_ELSEWHERE.get(page, set())
        assert {each.language for each in fences(page)} <= kinds, name(page)
    assert DOCS.parent / "README.md" in SHOWN


@pytest.mark.parametrize(
    ("printed", "status", "expected", "wrong"),
    [
        ("uk_" + 26 * "b" + "\n", 0, "uk_" + 26 * "a" + "\n", False),
        ("uk_" + 25 * "b" + "\n", 0, "uk_" + 26 * "a" + "\n", True),
        ("{}\n", 0, "{ }\n", True),
        ("{}\n", 1, "{}\n", True),
        ("{}\n", 0, None, False),
        ("a 1.0 b\n", 0, "a … b\n", False),
        ("a 1.0 c\n", 0, "a … b\n", True),
    ],
)
def test_a_difference_is_seen(
    printed: str, status: int, expected: str | None, *, wrong: bool
) -> None:
    step = Step(Fence("sh", "true\n", 1), printed, status, expected)
    assert bool(list(differences([step]))) is wrong


def test_a_text_stands_for_one_value_all_over_a_page() -> None:
    shown, one, other = ("uk_" + 26 * each + "\n" for each in "abc")
    first, same, another = (
        Step(Fence("sh", "true\n", 1), printed, 0, shown) for printed in (one, one, other)
    )
    assert list(differences([first, same])) == []
    assert len(list(differences([first, another]))) == 1


@pytest.mark.parametrize(("told", "restarts"), [("Go on:", False), ("Stop it, and go on:", True)])
def test_a_running_service_is_started_again_only_where_the_page_says_so(
    told: str, restarts: bool, tmp_path: Path, port: int
) -> None:
    page = [
        Fence("sh", "./run serve\n", 1, "Start the service:\n\n"),
        Fence("sh", "./run serve\n", 5, f"\nStop is said long before.\n\n{told}\n\n"),
    ]
    if restarts:
        found = steps(page, tmp_path, {"GATEBOOK_PORT": str(port)}, {})
        assert not list(differences(found))
    else:
        with pytest.raises(AssertionError, match="doesn't say to stop it"):
            steps(page, tmp_path, {"GATEBOOK_PORT": str(port)}, {})
