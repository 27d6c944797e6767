"""Every controller of pages, in the order in which they were thought of.

Whoever adds a page adds its controller here.
"""

from __future__ import annotations

from typing import Final

from app.web.account import AccountPages
from app.web.admin.controllers import ADMINISTRATION
from app.web.asset import AssetController
from app.web.docs import DocsPages
from app.web.error import ErrorController
from app.web.guide import GuideController
from app.web.live import LiveController
from app.web.login import LoginController
from app.web.model.showing import ModelController, NumbersController
from app.web.register import RegisterController

CONTROLLERS: Final = (
    GuideController,
    DocsPages,
    RegisterController,
    LoginController,
    AccountPages,
    ModelController,
    NumbersController,
    *ADMINISTRATION,
    ErrorController,
    LiveController,
    AssetController,
)
