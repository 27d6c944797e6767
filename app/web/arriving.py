"""What happens before a page's handler: who comes, and whether it comes from a page of ours.

A form counts only when the browser says that it was sent from here. Knows no page.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from app.http.auth import caller_of, header, note_user, service_of
from app.http.problems import AnyRequest
from app.sessions import Bearer
from app.settings import is_loopback
from app.web.cookie import token_of
from domain.errors import InvalidRequest, InvalidToken

_ELSEWHERE: Final = (
    "This form was not sent from a page of this service. Open the page here, and send it again."
)


async def arrive(request: AnyRequest) -> None:
    """Find the visitor; raises `InvalidRequest` for what another site sent."""
    if request.scope["method"] == "OPTIONS":
        return
    if request.scope["method"] != "GET":
        check_origin(request)
    await find_visitor(request)


async def find_visitor(request: AnyRequest) -> None:
    """Note who has the session of the cookie; without one it is a stranger."""
    token = token_of(request)
    if token is None:
        return
    try:
        found = await _found(request, token)
    except InvalidToken:
        request.scope["stale"] = True  # type: ignore[typeddict-unknown-key]
        return
    note_user(request, found.user_key)
    request.scope["visitor"] = found  # type: ignore[typeddict-unknown-key]


async def _found(request: AnyRequest, token: str) -> Bearer:
    """Whose session it is.

    A part of a page that is fetched again is no use that is worth a record; a token that isn't
    the newest is.
    """
    sessions = service_of(request).page_sessions
    if request.scope["method"] == "GET" and header(request, b"hx-request") is not None:
        with suppress(InvalidToken):
            return await sessions.still(token)
    return await sessions.visitor(token, caller_of(request))


def check_origin(request: AnyRequest) -> None:
    """Raises `InvalidRequest` unless a page of this origin sent it (Fetch §3.2, Fetch Metadata).

    Every browser names the origin of a form; the service's own is that of the issuer, or the one
    by which it was asked.
    """
    site = header(request, b"sec-fetch-site")
    origin = (header(request, b"origin") or b"").decode("latin-1")
    if site not in {None, b"same-origin"} or origin not in _own(request):
        raise InvalidRequest(_ELSEWHERE)


def _own(request: AnyRequest) -> set[str]:
    issuer = urlsplit(service_of(request).settings.issuer)
    host = (header(request, b"host") or b"").decode("latin-1")
    own = {f"{issuer.scheme}://{issuer.netloc}"}
    # On a loopback address there may be another port or name than the issuer's.
    with suppress(ValueError):
        if issuer.scheme == "http" and is_loopback(urlsplit(f"//{host}").hostname or ""):
            own.add(f"http://{host}")
    return own
