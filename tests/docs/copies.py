"""A copy of the project, in which a page for its makers is followed to the letter.

Beside it a store of each kind in which something has happened before: the page's code is new to
it. Knows no page.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.store import open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from projections.live import read_pointers
from tests.docs.pages import ROOT, Fence
from tests.docs.session import differences, steps
from tests.store.wishing import commit, fail, log_in, register

if TYPE_CHECKING:
    from projections.storage import Row
    from tests.postgres import Postgres

MASTER: Final = bytes(range(32))

_COPIED: Final = ("app", "domain", "projections", "tests", "docs", "clients")
_BESIDE: Final = ("pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", ".gitignore")


def copy_project(folder: Path) -> Path:
    """The project without its environment and its history, in a new folder."""
    folder.mkdir()
    for name in _COPIED:
        unwanted = shutil.ignore_patterns("__pycache__", "node_modules", "shots")
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    for name in _BESIDE:
        shutil.copy(ROOT / name, folder / name)
    return folder


def make_store(url: str) -> None:
    """A store with two people, one of whom is guessed at."""
    storage = storage_of(url)
    store = open_store(storage, Vault(MASTER), "ES256")
    writer = Writer(store.log, store.vault, store.ring, Policy())
    commit(writer, [register("ada"), register("bob"), fail("ada", 3), fail("bob", 1)])
    commit(writer, [log_in("ada", "phone"), fail("ada", 2)])
    storage.close()


def follow(
    fences: Iterable[Fence], folder: Path, url: str, postgres: Postgres | None = None
) -> str:
    """Do what the fences say, with a store; what is otherwise than they say, or the empty text.

    Tests in them have a server to make databases on.
    """
    environment = {
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "GATEBOOK_DATABASE_URL": url,
        "GATEBOOK_MASTER_KEY": base64.b64encode(MASTER).decode(),
    }
    if postgres is not None:
        environment["GATEBOOK_TEST_POSTGRES_URL"] = postgres.url()
    return "\n".join(differences(steps(list(fences), folder, environment, {})))


def rows_of(url: str, name: str, version: int) -> tuple[bool, list[Row]]:
    """Whether that version of a view is live, and its rows, read past the project's code."""
    storage = storage_of(url)
    try:
        with storage.snapshot() as rows:
            pointer = read_pointers(rows)[name]
            found = rows.fetch(f"SELECT * FROM {pointer.table} ORDER BY 1")
    finally:
        storage.close()
    return pointer.version == version, found
