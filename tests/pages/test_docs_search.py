"""What the search of the documentation finds, in which order, and what it shows of it."""

from __future__ import annotations

import pytest

from app.web.docs_library import Library
from app.web.docs_search import LONGEST, MOST, Search
from app.web.markdown import render
from tests.docs.pages import ROOT


def search(*texts: str) -> Search:
    """An index over these pages."""
    return Search([render(text, str).parts for text in texts])


def found(query: str, *texts: str) -> list[int]:
    """The numbers of the pages that are found, in order."""
    return [each.page for each in search(*texts).find(query)]


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(ROOT)


def test_a_title_comes_before_a_heading_and_a_heading_before_the_text() -> None:
    text = "# One\n\nof a walnut\n"
    heading = "# Two\n\n## A walnut\n\nx\n"
    title = "# Walnut\n\nx\n"
    assert found("walnut", text, heading, title, "# Other\n\nx\n") == [2, 1, 0]


def test_every_word_has_to_be_there_but_not_in_one_place() -> None:
    both = "# One\n\nwalnut\n\n## More\n\nteacup\n"
    assert found("teacup walnut", "# Two\n\nwalnut\n", both) == [1]
    assert found("walnut orbit", both) == []


@pytest.mark.parametrize("query", ["rotating", "rotates", "ROTATE", "rotation", "rot", "rotated"])
def test_endings_and_capitals_mean_nothing(query: str) -> None:
    assert found(query, "# One\n\nIt rotates.\n", "# Two\n\nIt stays.\n") == [0]


def test_the_parts_of_a_name_are_words() -> None:
    page = "# One\n\n`GATEBOOK_TRUSTED_PROXIES` and `refresh_token.rotated`\n"
    assert found("trusted proxies", page) == [0]
    assert found("GATEBOOK_TRUSTED_PROXIES", page) == [0]
    assert found("refresh_token.rotated", page) == [0]


def test_a_page_leads_to_the_part_that_says_most() -> None:
    page = "# One\n\nwalnut\n\n## Two\n\nwalnut teacup\n\n## Three\n\nteacup\n"
    (only,) = search(page).find("walnut teacup")
    assert only.part == 1


def test_an_excerpt_has_the_words_marked_and_is_cut_between_words() -> None:
    page = f"# One\n\n{'before ' * 60}the Walnut{' after' * 90}\n"
    (only,) = search(page).find("walnuts")
    assert [piece.text for piece in only.excerpt if piece.marked] == ["Walnut"]
    whole = "".join(piece.text for piece in only.excerpt)
    assert whole.startswith("… before ")
    assert whole.endswith(" after …")
    assert len(whole) < 300


@pytest.mark.parametrize("query", ["", "  ", "…?!", "_", "x" * 5_000, "\0", "zzz " * 1_000])
def test_what_asks_for_nothing_finds_nothing(query: str) -> None:
    assert found(query, "# One\n\ntext\n") == []


def test_one_letter_is_a_word_and_no_beginning() -> None:
    assert found("a", "# One\n\nan apple\n", "# Two\n\na pear\n") == [1]


def test_a_long_query_is_cut_off() -> None:
    assert found("walnut " + " " * LONGEST + "teacup", "# One\n\nwalnut\n") == [0]


def test_there_is_an_end_to_what_is_found() -> None:
    assert len(found("walnut", *["# One\n\nwalnut\n"] * (MOST + 5))) == MOST


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("leaked token", "/docs/how-to/respond-to-a-leaked-token"),
        ("rotate keys", "/docs/how-to/change-keys"),
        ("behind a proxy", "/docs/how-to/run-behind-a-proxy"),
        ("deploy postgresql", "/docs/how-to/run-on-postgresql"),
        ("threat model", "/docs/explanation/threat-model"),
        ("fastapi", "/docs/tutorial/protected-endpoint"),
        ("litestar", "/docs/tutorial/protected-endpoint"),
        ("user.login_failed", "/docs/reference/events"),
        ("GATEBOOK_SESSION_IDLE", "/docs/reference/settings"),
        ("POST /refresh", "/docs/reference/http"),
        ("erase", "/docs/how-to/erase-a-person"),
        ("too_many_attempts", "/docs/reference/problems"),
    ],
)
def test_what_somebody_looks_for_is_among_the_first(
    library: Library, query: str, path: str
) -> None:
    assert path in [page.file.path for page, _, _ in library.search(query)][:4]
