"""Whether what a look-up found of a session holds now.

Knows the row, the policy and the time (µs), and nothing of who asks.
"""

from __future__ import annotations

from domain.errors import InvalidToken
from domain.policy import Policy
from projections.token_lookup import TokenRow


def is_live(row: TokenRow, policy: Policy, now: int) -> bool:
    """Whether the session isn't over, nor its user kept out."""
    ends_at = policy.ends_at(row.expires_at, row.last_used_at)
    return row.status == "active" and row.ended_at is None and now < ends_at


def check_live(row: TokenRow, policy: Policy, now: int) -> None:
    """Raises `InvalidToken` saying why the session is over."""
    if is_live(row, policy, now):
        return
    if row.status == "disabled":
        raise InvalidToken(reason="user_disabled")
    if row.ended_why == "reuse":
        raise InvalidToken(reason="reused")
    if row.ended_at is not None or row.status != "active":
        raise InvalidToken(reason="revoked")
    raise InvalidToken(reason="expired")
