"""What leaves the service, and what it writes: no more than it must.

Each is a long proof of `tests.prove` in its short form.
"""

from __future__ import annotations

from tests.faults.holding import holds
from tests.prove import canary, steady


def test_canaries_planted_through_every_endpoint_are_found_nowhere(database_url: str) -> None:
    """Security rules 19 and 20."""
    holds(canary, database_url)


def test_a_steady_refresh_writes_nothing_and_a_login_is_one_transaction(database_url: str) -> None:
    holds(steady, database_url)
