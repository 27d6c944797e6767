"""Whether a session goes on, to the µs: its last one, and the first in which it is over."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from app.live import check_live, is_live
from domain.errors import InvalidToken
from domain.policy import DAY, SECOND, Policy
from projections.token_lookup import TokenRow

HOUR: Final = 3_600 * SECOND
NOW: Final = 1_800_000_000_000_000
ROW: Final = TokenRow(
    session_id="3yf2txaxNkI5Bb14hLwXnu",
    user_key="uk_7xxs1gtg5xazfengc6spbs00sx",
    service=0,
    started_at=NOW,
    expires_at=NOW + 365 * DAY,
    generation=1,
    rotated_at=NOW,
    used_generation=0,
    last_used_at=NOW,
    ended_at=None,
    ended_why=None,
    used_origin=None,
    user_id=None,
    status="active",
    permissions="",
    registered_at=NOW,
    master_id=None,
    wrapped=None,
    store_generation=1,
)
POLICY: Final = Policy(session_max=365 * DAY, session_idle=30 * DAY)
AT_ONCE: Final = Policy(session_max=365 * DAY, session_idle=365 * DAY)
IDLE: Final = ("idle", POLICY, ROW, NOW + 30 * DAY)
USED: Final = (
    "idle, used since",
    POLICY,
    msgspec.structs.replace(ROW, last_used_at=NOW + HOUR),
    NOW + HOUR + 30 * DAY,
)
ABSOLUTE: Final = (
    "absolute",
    POLICY,
    msgspec.structs.replace(ROW, last_used_at=NOW + 364 * DAY),
    NOW + 365 * DAY,
)
BOTH: Final = ("both at once", AT_ONCE, ROW, NOW + 365 * DAY)


@pytest.mark.parametrize(
    ("policy", "row", "ends_at"),
    [each[1:] for each in (IDLE, USED, ABSOLUTE, BOTH)],
    ids=[each[0] for each in (IDLE, USED, ABSOLUTE, BOTH)],
)
@pytest.mark.parametrize(
    "late", [-DAY, -HOUR, -2, -1, 0, 1, 2, 1_000_000, 60_000_000, HOUR, 400 * DAY]
)
def test_a_session_goes_on_until_the_last_microsecond_before_its_limit(
    policy: Policy, row: TokenRow, ends_at: int, late: int
) -> None:
    now = ends_at + late
    assert is_live(row, policy, now) == (late < 0)
    if late < 0:
        check_live(row, policy, now)
    else:
        with pytest.raises(InvalidToken) as refusal:
            check_live(row, policy, now)
        assert refusal.value.reason == "expired"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ended_at": NOW, "ended_why": "owner"}, "revoked"),
        ({"ended_at": NOW, "ended_why": "reuse"}, "reused"),
        ({"status": "disabled"}, "user_disabled"),
        ({"status": "disabled", "ended_at": NOW, "ended_why": "disabled"}, "user_disabled"),
        ({"status": "erased"}, "revoked"),
    ],
)
@pytest.mark.parametrize("now", [NOW - 1, NOW, NOW + 1, NOW + 400 * DAY])
def test_what_was_ended_or_is_kept_out_is_over_at_any_time(
    changes: dict[str, object], reason: str, now: int
) -> None:
    """A clock that is behind sees an end of the future."""
    row = msgspec.structs.replace(ROW, **changes)
    assert not is_live(row, POLICY, now)
    with pytest.raises(InvalidToken) as refusal:
        check_live(row, POLICY, now)
    assert refusal.value.reason == reason
