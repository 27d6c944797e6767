"""What comes from whoever means no good: data, a refusal, or the end of a connection.

Each is a long proof of `tests.prove` in its short form.
"""

from __future__ import annotations

from tests.faults.holding import holds
from tests.prove import fuzzed, hostile_bytes, hostile_fields, hostile_origins, hostile_tokens


def test_hostile_texts_in_every_field_are_data(database_url: str) -> None:
    """Security rules 2, 8, 21 and 30."""
    holds(hostile_fields, database_url)


def test_odd_bytes_have_no_second_meaning_and_hold_up_nobody(sqlite_url: str) -> None:
    """Security rules 1, 7, 8 and 30."""
    holds(hostile_bytes, sqlite_url)


def test_no_mutant_of_a_token_is_accepted_by_anybody(sqlite_url: str) -> None:
    """Security rules 8, 13 and 30."""
    holds(hostile_tokens, sqlite_url)


def test_readers_that_are_fuzzed_only_ever_refuse() -> None:
    """Security rules 4, 5, 8, 13 and 30."""
    holds(fuzzed, "")


def test_strange_hosts_origins_and_sites_are_believed_nowhere(sqlite_url: str) -> None:
    """Security rules 6, 8, 24 and 30."""
    holds(hostile_origins, sqlite_url)
