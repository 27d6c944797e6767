"""Who may see a page, and for how long a stream that it opened may go on.

Knows no page: the use cases decide what a session is worth.
"""

from __future__ import annotations

from app.http.auth import service_of
from app.http.problems import AnyRequest
from app.http.standing import Standing
from app.sessions import Bearer
from app.web.cookie import token_of
from app.web.page import visitor_of
from app.web.redirect import LogInFirst


def visiting(request: AnyRequest) -> Bearer:
    """Who is logged in; raises `LogInFirst`."""
    visitor = visitor_of(request)
    if visitor is None:
        raise LogInFirst
    return visitor


def standing(request: AnyRequest, permission: str) -> Standing:
    """That the visitor may see this now, and what finds out for how long.

    Whatever is shown meanwhile is for what the visitor may by then. Raises `LogInFirst`, and
    `InsufficientPermission` naming it.
    """
    visiting(request).demand(permission)
    service, token = service_of(request), token_of(request) or ""

    async def ask() -> None:
        found = await service.page_sessions.still(token)
        found.demand(permission)
        request.scope["visitor"] = found  # type: ignore[typeddict-unknown-key]

    return Standing(ask, service.stopping)
