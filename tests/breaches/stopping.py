"""Services that are told to stop and don't wait for what they have begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from app import server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import uvicorn
    from uvicorn._types import ASGI3Application

    from app.bootstrap import Service
    from app.limits import Limits
    from app.settings import Settings
    from tests.breaches import Breach


def _leave_writing(service: Service, value: str) -> None:
    """Whoever stops waits neither for the writer, who may be at it still, nor for the store."""
    del value
    service.dispatcher._thread = None
    service.store.storage.close = lambda: None  # type: ignore[method-assign]


def _leave_streams(service: Service, value: str) -> None:
    """Streams aren't told that the service stops."""
    del value
    service.stopping.set = lambda: None  # type: ignore[method-assign]


def _wait_for_nobody() -> None:
    """Open requests and streams aren't waited for."""
    configure = server.configuration

    def configuration(app: ASGI3Application, settings: Settings, limits: Limits) -> uvicorn.Config:
        return configure(app, settings, msgspec.structs.replace(limits, drain_s=0))

    server.configuration = configuration


BREACHES: Final[Mapping[str, Breach]] = {
    "UNDRAINED": _leave_writing,
    "UNTOLD_STREAMS": _leave_streams,
}
BEFORE: Final[Mapping[str, Callable[[], None]]] = {"IMPATIENT": _wait_for_nobody}
