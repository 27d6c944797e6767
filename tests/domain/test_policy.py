"""Limits and lifetimes that the contract fixes."""

from __future__ import annotations

import pytest

from domain.policy import (
    DAY,
    DELAYED_DUPLICATE,
    ENDED_SESSION_KEPT,
    MAX_ACCESS_TOKEN_LIFE,
    REVOCATION_NOTICE,
    SECOND,
    Policy,
)


def test_what_nobody_set_is_as_documented() -> None:
    policy = Policy()
    assert policy.session_idle == 30 * 86_400_000_000
    assert policy.session_max == 365 * 86_400_000_000
    assert policy.session_cap == 100
    assert policy.record_every_use is False
    assert policy.retry_window == 60_000_000
    assert DELAYED_DUPLICATE == 10_000_000


@pytest.mark.parametrize(
    ("idle", "interval"),
    [
        (30 * DAY, DAY),
        (10 * DAY, DAY),
        (10 * DAY - 10, DAY - 1),
        (5 * DAY, DAY // 2),
        (60 * SECOND, 6 * SECOND),
    ],
)
def test_a_use_is_recorded_again_after_a_day_or_a_tenth_of_the_idle_limit(
    idle: int, interval: int
) -> None:
    assert Policy(session_idle=idle).use_interval == interval


def test_a_revocation_is_told_for_longer_than_any_access_token_lives() -> None:
    assert MAX_ACCESS_TOKEN_LIFE == 3_600_000_000
    assert REVOCATION_NOTICE == 3_660_000_000
    assert ENDED_SESSION_KEPT == 30 * DAY


def test_a_policy_doesnt_change_while_it_is_used() -> None:
    with pytest.raises(AttributeError):
        Policy().session_cap = 1  # type: ignore[misc]
