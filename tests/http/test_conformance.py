"""What is answered is what is described, whatever is asked.

`./run prove conformance` is longer than a test may be.
"""

from __future__ import annotations

import pytest

from tests.faults.holding import holds
from tests.http.conformance import FUZZING, run
from tests.prove import conformance


def test_generated_requests_find_no_fault_and_nothing_undocumented(sqlite_url: str) -> None:
    """Security rules 8 and 30."""
    holds(conformance, sqlite_url)


@pytest.mark.long
def test_generated_requests_find_none_on_postgresql(postgres_url: str) -> None:
    """Security rule 8, with fewer of them."""
    assert [*run(postgres_url, 2, phases=[FUZZING]).wrong()] == []
