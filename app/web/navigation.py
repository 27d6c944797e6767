"""Where the head of every page leads: to the pages that there are, for whoever looks at it.

Knows no page but by its address.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from app.sessions import Bearer
from domain.permission import implies

ADMINISTRATIVE: Final = ("users:read", "events:read", "projections:read", "keys:read")
"""With any of them there is something to see in the administration."""
_FORMS: Final = "/web"
"""Below it forms are sent to."""
_FORMS_OF_ONESELF: Final = ("/secret", "/erase", "/sessions/")
"""What follows of those that `/account` and the pages below it have."""


class Link(NamedTuple):
    """A name and an address below the service's own."""

    name: str
    path: str


_FOR_ALL: Final = (Link("Guide", "/"), Link("Docs", "/docs"), Link("Model", "/model"))
_ADMIN: Final = Link("Admin", "/admin")
_OF_ONESELF: Final = Link("Account", "/account")
_STRANGERS: Final = (Link("Log in", "/login"), Link("Register", "/register"))


def links(paths: Collection[str], visitor: Bearer | None) -> list[Link]:
    """What there is among `paths` for this visitor."""
    wanted = list(_FOR_ALL)
    if visitor is None:
        wanted += _STRANGERS
    else:
        if any(implies(visitor.permissions, each) for each in ADMINISTRATIVE):
            wanted.append(_ADMIN)
        wanted.append(_OF_ONESELF)
    return [link for link in wanted if link.path in paths]


def place_of(path: str) -> str:
    """Where a page stands that answers at `path`: that of a form, where the form was."""
    below = path.removeprefix(_FORMS)
    if below == path or not below.startswith("/"):
        return path
    return f"{_OF_ONESELF.path}{below}" if below.startswith(_FORMS_OF_ONESELF) else below


def is_here(link: Link, path: str) -> bool:
    """Whether the page at `path` is this one, or below it."""
    return path == link.path or (link.path != "/" and path.startswith(f"{link.path}/"))
