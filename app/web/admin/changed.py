"""Where somebody goes after a change to a user, and is told of it: to a page that it may see.

Knows no change.
"""

from __future__ import annotations

from litestar import Response

from app.http.problems import AnyRequest
from app.web.admin.section import READ_USERS, may
from app.web.done import then


def changed(request: AnyRequest, user_key: str, what: str) -> Response[bytes]:
    """To the page of the user; whoever may change users and not read them stays where it may."""
    if may(request, READ_USERS):
        return then(request, f"/admin/users/{user_key}", what)
    return then(request, "/admin/users/new", what, user_key)
