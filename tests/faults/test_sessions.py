"""What befalls sessions and their tokens: races, lost answers, thefts, ends in another process.

Each is a long proof of `tests.prove` in its short form.
"""

from __future__ import annotations

from tests.faults.holding import holds
from tests.prove import login_races, lost_answers, reuse, rotation_race, sessions_checked


def test_of_64_who_rotate_one_token_at_once_all_get_the_same_successor(database_url: str) -> None:
    holds(rotation_race, database_url)


def test_who_loses_an_answer_and_asks_again_loses_no_session(database_url: str) -> None:
    holds(lost_answers, database_url)


def test_reuse_ends_a_session_once_before_it_is_refused(database_url: str) -> None:
    holds(reuse, database_url)


def test_a_login_beside_an_end_of_all_sessions_does_not_survive_it(database_url: str) -> None:
    """Security rule 17, in its short form."""
    holds(login_races, database_url)


def test_no_success_begins_after_the_answer_of_what_ends_it(database_url: str) -> None:
    """Security rules 16 and 30, in their short form."""
    holds(sessions_checked, database_url)
