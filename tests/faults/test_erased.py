"""What is left of people who were erased: a long proof of `tests.prove` in its short form."""

from __future__ import annotations

from tests.faults.holding import holds
from tests.prove import erased


def test_no_byte_of_an_erased_person_is_left_anywhere(database_url: str) -> None:
    """Security rules 16, 19, 20 and 30, in their short form."""
    holds(erased, database_url)
