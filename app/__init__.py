"""Composition, and everything that touches the world: HTTP, command line, clocks, keys, files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litestar import Litestar

    from app.settings import Settings


def create_app(settings: Settings | None = None) -> Litestar:
    """The service as an ASGI application; nothing is opened before its lifespan begins.

    Without settings they are read from the environment; raises `SettingsError`.
    """
    from app.application import application  # noqa: PLC0415 - imports all of the service
    from app.settings import load  # noqa: PLC0415 - likewise

    return application(settings or load(os.environ).settings)
