"""What every test may ask for: databases of each kind, and hypothesis without a deadline.

A PostgreSQL that can't be had is a failure, never a skip.
"""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests import choosing
from tests import postgres as servers
from tests.faults.holding import is_short_form

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A slow machine is not a wrong answer; and what CI finds, the next run of it finds again.
settings.register_profile(
    "gatebook", deadline=None, derandomize="CI" in os.environ, print_blob=True
)
settings.load_profile("gatebook")

# The settings of whoever runs the tests are not the tests'.
for name in [each for each in os.environ if each.startswith("GATEBOOK_")]:
    if not name.startswith("GATEBOOK_TEST_"):
        del os.environ[name]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long`: all tests there are."""
    parser.addoption(
        "--long", action="store_true", help="every test on every store; see choosing.py"
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what runs a long proof in its short form."""
    if isinstance(item, pytest.Function) and is_short_form(item.function):
        item.add_marker("short_form")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what isn't of the short form, unless all is asked for, or a test by its name."""
    if config.getoption("--long") or any("::" in each for each in config.args):
        return
    chosen = choosing.short(items)
    left_out = [item for item in items if item not in chosen]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item in chosen]


def pytest_collection_finish() -> None:
    """Let the collector pass over what stays to the end: ten thousand tests and their modules.

    What a test makes is looked at as ever; what collecting left behind is, here.
    """
    gc.collect()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """Name the place of this run's PostgreSQL, for every process of the run."""
    if not hasattr(config, "workerinput"):
        servers.prepare_shared()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop it."""
    if not hasattr(config, "workerinput"):
        servers.end_shared()


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.Postgres]:
    """A PostgreSQL server that all tests of the run share: leave it running as it is."""
    with servers.shared() as server:
        yield server


@pytest.fixture(scope="session")
def one_database(postgres: servers.Postgres) -> Iterator[str]:
    """A PostgreSQL database for a worker's tests, one after another: making one each is slow."""
    url = postgres.create_database()
    yield url
    postgres.discard_database(url)


@pytest.fixture
def postgres_url(postgres: servers.Postgres, one_database: str) -> str:
    """The URL of an empty PostgreSQL database, emptied of whatever a test left in it."""
    postgres.empty_database(one_database)
    return one_database


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite database that isn't there yet."""
    return f"sqlite:///{tmp_path}/gatebook.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a new database of each kind."""
    kind = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param]
    url: str = request.getfixturevalue(kind)
    return url
