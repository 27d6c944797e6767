"""What comes from whoever means no good: data, a refusal, or the end of a connection.

Each is a long proof of `tests.prove` in its short form.
"""

from __future__ import annotations

from tests.faults.holding import holds
from tests.prove import hostile_fields


def test_hostile_texts_in_every_field_are_data(database_url: str) -> None:
    """Security rules 2, 8, 21 and 30."""
    holds(hostile_fields, database_url)
