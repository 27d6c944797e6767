"""What leaves the service, and what it writes: no more than it must.

Each is a long proof of `tests.prove` in its short form.
"""

from __future__ import annotations

from tests.faults.holding import holds
from tests.prove import alike, canary, constant, long_lived, steady


def test_canaries_planted_through_every_endpoint_are_found_nowhere(database_url: str) -> None:
    """Security rules 19 and 20."""
    holds(canary, database_url)


def test_a_steady_refresh_writes_nothing_and_a_login_is_one_transaction(database_url: str) -> None:
    holds(steady, database_url)


def test_unknown_disabled_and_wrong_get_one_answer(database_url: str) -> None:
    """Security rule 9; how long they take is for the long form to compare."""
    holds(alike, database_url)


def test_a_wrong_proof_is_refused_wherever_it_is_wrong(sqlite_url: str) -> None:
    """Security rule 22; how long it takes is for the long form to compare."""
    holds(constant, sqlite_url)


def test_who_has_logged_in_often_logs_in_as_anybody(database_url: str) -> None:
    holds(long_lived, database_url)
