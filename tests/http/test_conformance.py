"""What is answered is what is described, whatever is asked.

`./run prove conformance` is longer than a test may be.
"""

from __future__ import annotations

import pytest

from tests.http.conformance import BREACHES, FUZZING, run, run_on_breaches


def test_generated_requests_find_no_fault_and_nothing_undocumented(sqlite_url: str) -> None:
    """Security rule 8."""
    assert [*run(sqlite_url, 4).wrong()] == []


@pytest.mark.long
def test_generated_requests_find_none_on_postgresql(postgres_url: str) -> None:
    """Security rule 8, with fewer of them."""
    assert [*run(postgres_url, 2, phases=[FUZZING]).wrong()] == []


def test_a_fault_and_what_is_undocumented_are_found(sqlite_url: str) -> None:
    """Security rule 30."""
    found = run_on_breaches(sqlite_url)
    assert [breach for breach in BREACHES if not found.noticed(breach)] == []
