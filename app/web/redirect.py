"""Where a browser goes from here, within the service alone.

Knows no page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from litestar import Response

from app.http.auth import header
from app.http.problems import AnyRequest
from app.web.cookie import dropped
from app.web.page import HEADERS, NO_HEADERS, base_of

_INSIDE: Final = re.compile(r"/(?!/)[A-Za-z0-9_./-]{0,200}")
_QUERY: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/?%-]{0,1000}")
"""An address below this service's own; nothing that a browser would read as another host."""


class LogInFirst(Exception):
    """The page is for whoever has logged in."""


def inside(path: str, otherwise: str) -> str:
    """The path, when it leads to a page of this service; without a query that can't be one."""
    place, mark, query = path.partition("?")
    if not _INSIDE.fullmatch(place):
        return otherwise
    return path if mark and _QUERY.fullmatch(query) else place


def redirect(
    request: AnyRequest, path: str, headers: Mapping[str, str] = NO_HEADERS
) -> Response[bytes]:
    """Go there, with GET whatever was sent (RFC 9110 §15.4.4)."""
    to = {"location": f"{base_of(request)}{path}"}
    return Response(b"", status_code=303, media_type="text/plain", headers={**to, **headers})


def to_login(request: AnyRequest) -> Response[bytes]:
    """To where one logs in, and back to the page from there; the whole page, not a part of it."""
    asked, query_string = request.scope["path"], request.scope["query_string"].decode("latin-1")
    if query_string:
        asked = f"{asked}?{query_string}"
    query = urlencode({"next": asked}) if request.scope["method"] == "GET" else "next=/account"
    forgotten = {"set-cookie": dropped(request)} if request.scope.get("stale") else {}
    if header(request, b"hx-request") is None:
        return redirect(request, f"/login?{query}", forgotten)
    to = {"hx-redirect": f"{base_of(request)}/login?next=/account"}
    merged = {**HEADERS, **to, **forgotten}
    return Response(b"", media_type="text/html", status_code=200, headers=merged)
