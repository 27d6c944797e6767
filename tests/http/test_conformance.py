"""What is answered is what is described, whatever is asked."""

from __future__ import annotations

from tests.http.conformance import run


def test_generated_requests_find_no_fault_and_nothing_undocumented() -> None:
    """Security rule 8."""
    assert "No issues found" in run(8)
