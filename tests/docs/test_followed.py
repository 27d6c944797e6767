"""Pages for makers, followed to the letter in a copy: what they say to do works as they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.copies import copy_project, follow, make_store
from tests.docs.pages import DOCS, Fence, parts

if TYPE_CHECKING:
    from tests.postgres import Postgres

PROJECTION = DOCS / "how-to" / "add-a-projection.md"
INLINE = "One that somebody gets in by"
LONG = "./run test"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "copy")


@pytest.fixture
def store_url(database_url: str) -> str:
    """Of a store of each kind, made by the project as it is."""
    make_store(database_url)
    return database_url


def shortened(fences: list[Fence]) -> list[Fence]:
    """Without the commands that run tests: those make stores of each kind themselves."""
    return [
        fence._replace(text="".join(
            line for line in fence.text.splitlines(keepends=True) if not line.startswith(LONG)
        ))
        for fence in fences
    ]  # fmt: skip


def test_a_projection_is_added_and_changed_as_its_page_says(
    copy: Path, store_url: str, postgres: Postgres
) -> None:
    told = parts(PROJECTION)
    assert INLINE in told
    fences = [each for heading, some in told.items() if heading != INLINE for each in some]
    if store_url.startswith("postgres"):
        fences = shortened(fences)
    wrong = follow(fences, copy, store_url, postgres)
    assert not wrong, wrong
