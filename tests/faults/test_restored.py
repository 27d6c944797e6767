"""A backup of a service at work, restored: a long proof of `tests.prove` in its short form."""

from __future__ import annotations

from tests.faults.holding import holds
from tests.prove import restored


def test_a_restored_backup_has_what_was_acknowledged_and_believes_no_session(
    database_url: str,
) -> None:
    """Security rule 25, in its short form."""
    holds(restored, database_url)
