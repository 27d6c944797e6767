"""Every controller of pages, in the order in which they were thought of.

Whoever adds a page adds its controller here.
"""

from __future__ import annotations

from typing import Final

from app.web.asset import AssetController
from app.web.docs import DocsPages
from app.web.error import ErrorController
from app.web.guide import GuideController
from app.web.live import LiveController

CONTROLLERS: Final = (
    GuideController,
    DocsPages,
    ErrorController,
    LiveController,
    AssetController,
)
