"""What a connection may send and how long it may take, as clients are told it."""

from __future__ import annotations

from app.limits import Limits

PROMISED_EXIT_S = 10.0
"""After which a service that was told to stop is gone."""


def test_a_head_has_five_seconds_and_a_body_ten() -> None:
    """Where the deadlines are short, tests show that they are kept; these are the service's own."""
    assert (Limits().head_s, Limits().body_s) == (5.0, 10.0)


def test_a_head_may_be_16_kib_long_and_a_body_is_read_up_to_one_mib() -> None:
    """Security rule 1."""
    assert (Limits().head_bytes, Limits().body_bytes) == (16 * 1024, 1024 * 1024)


def test_a_service_drains_and_is_gone_within_ten_seconds() -> None:
    assert Limits().drain_s < Limits().exit_s < PROMISED_EXIT_S
