"""A server that was killed has lost nothing that it acknowledged."""

from __future__ import annotations

from tests.faults.holding import holds
from tests.prove import kill


def test_a_killed_server_comes_back_with_everything_it_acknowledged(database_url: str) -> None:
    """Security rule 25, in its short form."""
    holds(kill, database_url)
