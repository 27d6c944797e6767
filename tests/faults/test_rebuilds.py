"""Views that are rebuilt while the service runs.

Each is a long proof of `tests.prove` in its short form.
"""

from __future__ import annotations

from tests.faults.holding import holds
from tests.prove import rebuilds


def test_nobody_notices_that_a_view_is_rebuilt(database_url: str) -> None:
    """Security rule 16, in its short form."""
    holds(rebuilds, database_url)
