"""What every controller is: handlers of one noun.

Knows no path.
"""

from __future__ import annotations

import litestar
from litestar.handlers import HTTPRouteHandler
from litestar.router import Router
from litestar.routes import HTTPRoute
from litestar.types import Method

_OPTIONS: set[Method] = {"OPTIONS"}


class Controller(litestar.Controller):
    """A controller that answers OPTIONS with every method of a path.

    The framework's own makes that answer for a path's first handler, and keeps it when others
    join.
    """

    def as_router(self) -> Router:
        """The handlers, with OPTIONS made anew now that all of a path are there."""
        router = super().as_router()
        for place, route in enumerate(router.routes):
            if isinstance(route, HTTPRoute):
                router.routes[place] = HTTPRoute(
                    path=route.path, route_handlers=_own(route.route_handlers)
                )
        return router


def _own(handlers: list[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    return [handler for handler in handlers if handler.http_methods != _OPTIONS]
