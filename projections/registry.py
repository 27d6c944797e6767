"""Every projection that this release keeps.

A view of a new shape stands here twice: its version until now, and after it the new one, which a
rebuild fills.
"""

from __future__ import annotations

from typing import Final

from projections.daily_activity import DailyActivity
from projections.projection import Projection
from projections.revocations import Revocations
from projections.token_lookup import TokenLookup
from projections.user_directory import UserDirectory

PROJECTIONS: Final[tuple[Projection, ...]] = (
    UserDirectory(),
    TokenLookup(),
    Revocations(),
    DailyActivity(),
)
