"""Every controller of the administration.

Whoever adds a page to it adds its controller here.
"""

from __future__ import annotations

from typing import Final

from app.web.admin.as_of import AsOfPages
from app.web.admin.keys import KeysPages
from app.web.admin.live_log import LiveLog
from app.web.admin.log import LogPages
from app.web.admin.overview import OverviewPages
from app.web.admin.projections import ProjectionsPages
from app.web.admin.status import StatusPages
from app.web.admin.user import UserPages
from app.web.admin.users import UsersPages

ADMINISTRATION: Final = (
    OverviewPages,
    UsersPages,
    UserPages,
    AsOfPages,
    LogPages,
    LiveLog,
    ProjectionsPages,
    KeysPages,
    StatusPages,
)
