"""What befalls keys: rotations and a leak under load, a new master key, ends told to followers.

Each is a long proof of `tests.prove` in its short form.
"""

from __future__ import annotations

from tests.faults.holding import holds
from tests.prove import key_rotations, revocation_stream, rewrapped


def test_a_key_changes_under_load_and_a_leaked_one_is_worth_nothing(database_url: str) -> None:
    """Security rules 13 and 16, in their short form."""
    holds(key_rotations, database_url)


def test_an_end_of_session_is_told_to_every_follower_at_any_process(database_url: str) -> None:
    holds(revocation_stream, database_url)


def test_a_new_master_key_costs_no_request_and_the_old_one_opens_nothing(
    database_url: str,
) -> None:
    holds(rewrapped, database_url)
