"""Pages for makers, followed to the letter in a copy: what they say to do works as they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.applying import Wrong, apply
from tests.docs.copies import copy_project, follow, make_store, rows_of
from tests.docs.pages import DOCS, parts
from tests.store.wishing import user_key

if TYPE_CHECKING:
    from tests.postgres import Postgres

PROJECTION = DOCS / "how-to" / "add-a-projection.md"
EVENT = DOCS / "how-to" / "add-or-change-an-event.md"
INLINE = "One that somebody gets in by"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "copy")


@pytest.fixture
def store_url(sqlite_url: str) -> str:
    """Of a store that was made by the project as it is; the tests of the pages make each kind."""
    make_store(sqlite_url)
    return sqlite_url


@pytest.mark.long
def test_a_projection_is_added_and_changed_as_its_page_says(
    copy: Path, store_url: str, postgres: Postgres
) -> None:
    told = parts(PROJECTION)
    assert INLINE in told
    fences = [each for heading, some in told.items() if heading != INLINE for each in some]
    wrong = follow(fences, copy, store_url, postgres)
    assert not wrong, wrong
    rows = [(user_key("ada"), 5, 2), (user_key("bob"), 1, 1)]
    live, found = rows_of(store_url, "login_failures", 2)
    assert live
    assert [row[:3] for row in found] == sorted(rows)
    assert "`login_failures`" in (copy / "docs/reference/events.md").read_text(encoding="utf-8")


def test_an_inline_projection_is_added_as_its_page_says(copy: Path, store_url: str) -> None:
    told = parts(PROJECTION)
    written = [each for each in told["The file"] + told["The registry"] if each.language != "sh"]
    wrong = follow([*written, *told[INLINE]], copy, store_url)
    assert not wrong, wrong
    live, found = rows_of(store_url, "login_failures", 1)
    assert live
    assert {row[:2] for row in found} == {(user_key("ada"), 5), (user_key("bob"), 1)}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("--- a.txt\n@@\n-one\n+three\n", ""),
        ("--- a.txt\n+++ a.txt\n@@\n one\n+one and a half\n two\n", ""),
        ("--- a.txt\n@@\n-none\n+three\n", "0 times"),
        ("--- a.txt\n@@\n-two\n+three\n", "2 times"),
        ("--- a.txt\n@@\n-on\n+three\n", "0 times"),
        ("--- a.txt\n", "nothing is changed"),
        ("--- b.txt\n@@\n-one\n", "0 times"),
        ("one\n", "which file"),
    ],
)
def test_a_change_that_does_not_fit_is_told(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\ntwo\n", encoding="utf-8")
    if not why:
        apply(text, tmp_path)
        assert "three" in (changed := (tmp_path / "a.txt").read_text()) or "half" in changed
        return
    with pytest.raises(Wrong, match=why):
        apply(text, tmp_path)


def test_a_page_that_says_otherwise_than_it_is_is_told(copy: Path, sqlite_url: str) -> None:
    """Without the file nothing is missing from the store."""
    make_store(sqlite_url)
    shown = [each for each in parts(PROJECTION)[INLINE] if each.language in {"sh", "text"}]
    assert "where the page has" in follow(shown[:2], copy, sqlite_url)


@pytest.mark.long
def test_an_event_is_added_and_changed_as_its_page_says(
    copy: Path, store_url: str, postgres: Postgres
) -> None:
    golden = copy / "tests/golden/events"
    before = {each.name: each.read_bytes() for each in golden.glob("*.json")}
    fences = [each for some in parts(EVENT).values() for each in some]
    wrong = follow(fences, copy, store_url, postgres)
    assert not wrong, wrong
    after = {each.name: each.read_bytes() for each in golden.glob("*.json")}
    assert before.items() <= after.items()
    assert {name.removeprefix("user.terms_accepted.") for name in after.keys() - before.keys()} == {
        "v1.json",
        "v2.json",
        "v1.as.v2.json",
    }
    assert "## user.terms_accepted\n\nSchema 2." in (copy / "docs/reference/events.md").read_text()
