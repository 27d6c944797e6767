"""The application: every controller, what stands around them, and the service's lifespan.

Opens nothing until the lifespan begins.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.router import Router
from litestar.types import RouteHandlerMapItem, RouteHandlerType

from app import logs
from app.bootstrap import Service, running
from app.http import schema
from app.http.account import AccountController
from app.http.answer import StructResponse
from app.http.body import MAX_BODY, StrictRequest
from app.http.cors import Cors
from app.http.event import EventController
from app.http.key import KeyController
from app.http.me import MeController
from app.http.metadata import MetadataController
from app.http.oauth import OAuthController
from app.http.observe import Observed
from app.http.operation import OperationController
from app.http.projection import ProjectionController
from app.http.revocation import RevocationController
from app.http.session import SessionController
from app.http.user import UserController
from app.settings import Settings
from app.web.controllers import CONTROLLERS as PAGES
from app.web.refusal import answer_anywhere

CONTROLLERS: Final = (
    AccountController,
    SessionController,
    MeController,
    UserController,
    KeyController,
    ProjectionController,
    EventController,
    RevocationController,
    OAuthController,
    MetadataController,
    OperationController,
    *PAGES,
)


class _App(Litestar):
    """Takes several controllers at one path, as of a page and of what programs send there.

    The framework answers OPTIONS for each of them alone, and finds that there are two.
    """

    @classmethod
    def get_route_handler_map(
        cls, value: RouteHandlerType | Router
    ) -> dict[str, RouteHandlerMapItem]:
        """Of what is added: without OPTIONS, which is made anew of all that a path takes."""
        return _without_options(super().get_route_handler_map(value))

    @property
    def route_handler_method_map(self) -> dict[str, RouteHandlerMapItem]:
        """Of what is there: likewise."""
        return _without_options(super().route_handler_method_map)


def _without_options(found: dict[str, RouteHandlerMapItem]) -> dict[str, RouteHandlerMapItem]:
    return {
        path: {method: handler for method, handler in handlers.items() if method != "OPTIONS"}
        for path, handlers in found.items()
    }


def application(
    settings: Settings, *, on_start: Callable[[Service], None] | None = None
) -> Litestar:
    """The service over HTTP; `on_start` hears of it once it runs."""

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with running(settings) as service:
            observed.service = service
            if on_start is not None:
                on_start(service)
            yield

    app = _App(
        route_handlers=CONTROLLERS,
        lifespan=[lifespan],
        request_class=StrictRequest,
        response_class=StructResponse,
        request_max_body_size=MAX_BODY,
        exception_handlers={HTTPException: answer_anywhere, Exception: answer_anywhere},
        openapi_config=schema.configuration(settings),
        logging_config=None,
        state=State(),
    )
    request_log = logs.configure(settings.log_format)

    def count(route: str, method: str, status: int) -> None:
        if isinstance(observed.service, Service):
            observed.service.metrics.answered(route, method, status)

    observed = Observed(app.asgi_handler, request_log, count, issuer=settings.issuer)
    app.asgi_handler = Cors(observed, settings.cors_origins)
    return app
