"""Databases of their own: faults reach whoever is connected, and some stay with a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres import Postgres


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a new PostgreSQL database."""
    url = postgres.create_database()
    yield url
    postgres.discard_database(url)
