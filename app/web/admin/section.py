"""The sections of the administration, and a page in one of them: for whoever may see it.

What a visitor may is what the look-up of this request found. Knows no use case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from litestar import Response

from app.http.auth import caller_of
from app.http.problems import AnyRequest
from app.sessions import Bearer
from app.web.navigation import place_of
from app.web.page import NO_HEADERS, base_of, page
from app.web.visiting import visiting
from domain.permission import ADMIN, implies
from domain.stream import Meta, actor_of

READ_USERS: Final = "users:read"
WRITE_USERS: Final = "users:write"
READ_EVENTS: Final = "events:read"
READ_PROJECTIONS: Final = "projections:read"
WRITE_PROJECTIONS: Final = "projections:write"
READ_KEYS: Final = "keys:read"
WRITE_KEYS: Final = "keys:write"


class Section(NamedTuple):
    """A part of the administration, and the permission that it takes to see it."""

    name: str
    path: str
    permission: str
    about: str


SECTIONS: Final = (
    Section("Users", "/admin/users", READ_USERS, "Find, make and change users."),
    Section("Log", "/admin/log", READ_EVENTS, "All that happened, as it happens."),
    Section(
        "Projections", "/admin/projections", READ_PROJECTIONS, "The views, and rebuilding them."
    ),
    Section("Keys", "/admin/keys", READ_KEYS, "What signs access tokens, and its successor."),
    Section("Status", "/admin/status", ADMIN, "Whether all is well, and what to do if not."),
)


def entering(request: AnyRequest, permission: str) -> Bearer:
    """Who is logged in and may do this; raises `LogInFirst` and `InsufficientPermission`."""
    visitor = visiting(request)
    visitor.demand(permission)
    return visitor


def may(request: AnyRequest, permission: str) -> bool:
    """Whether whoever is logged in may do this."""
    return implies(visiting(request).permissions, permission)


def meta_of(request: AnyRequest, visitor: Bearer) -> Meta:
    """What is written with the events that the visitor brings about."""
    return caller_of(request).meta(actor_of(visitor.user_key))


def admin_page(
    request: AnyRequest,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] = NO_HEADERS,
    **told: object,
) -> Response[bytes]:
    """A page of the administration."""
    return page(
        request, f"admin/{template}", status=status, headers=headers, **shared(request), **told
    )


def shared(request: AnyRequest) -> dict[str, object]:
    """What every page of the administration is told."""
    base, path = base_of(request), place_of(request.scope["path"])
    held = visiting(request).permissions
    tabs = [("Overview", f"{base}/admin", path == "/admin")]
    tabs += [
        (each.name, f"{base}{each.path}", path == each.path or path.startswith(f"{each.path}/"))
        for each in SECTIONS
        if implies(held, each.permission)
    ]
    return {"tabs": tabs, "may": lambda permission: implies(held, permission)}
