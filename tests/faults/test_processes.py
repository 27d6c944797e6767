"""What befalls processes and connections: kills, stops, cut wires, requests at the same moment.

Each is a long proof of `tests.prove` in its short form.
"""

from __future__ import annotations

from tests.faults.holding import holds
from tests.prove import (
    backends,
    drained,
    herd,
    kill,
    lost_reply,
    register_race,
    revoke_seen,
    stopped,
    upgraded,
)


def test_of_64_who_register_one_name_at_once_one_has_it(database_url: str) -> None:
    holds(register_race, database_url)


def test_a_killed_server_comes_back_with_everything_it_acknowledged(database_url: str) -> None:
    """Security rule 25, in its short form."""
    holds(kill, database_url)


def test_told_to_stop_it_finishes_what_is_open_and_ends_streams_and_goes(
    database_url: str,
) -> None:
    """Security rule 25, in its short form."""
    holds(drained, database_url)


def test_connections_that_postgresql_ends_cost_a_503_and_nothing_else(postgres_url: str) -> None:
    """Security rule 27, in its short form."""
    holds(backends, postgres_url)


def test_a_process_stopped_with_the_lock_holds_the_others_up_and_no_more(
    postgres_url: str,
) -> None:
    """Security rule 27, in its short form."""
    holds(stopped, postgres_url)


def test_after_a_lost_commit_reply_nobody_hears_that_his_own_name_is_taken(
    postgres_url: str,
) -> None:
    """Security rule 26, in its short form."""
    holds(lost_reply, postgres_url)


def test_what_begins_after_a_revocation_was_answered_is_refused(database_url: str) -> None:
    """Security rule 16, in its short form."""
    holds(revoke_seen, database_url)


def test_of_processes_that_start_at_once_all_serve_or_say_who_does(database_url: str) -> None:
    """Security rule 29, in its short form."""
    holds(herd, database_url)


def test_a_kept_store_is_served_and_what_a_newer_release_writes_parks(database_url: str) -> None:
    """Security rule 28, in its short form."""
    holds(upgraded, database_url)
