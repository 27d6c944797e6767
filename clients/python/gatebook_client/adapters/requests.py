"""`GatebookAuth` for `requests`.

    session.auth = RequestsAuth(GatebookAuth(url, user_key=…, user_secret=…))

Knows `requests`, and leaves all else to `GatebookAuth`.
"""

from __future__ import annotations

from typing import Any

from requests import PreparedRequest, Response
from requests.auth import AuthBase

from gatebook_client.auth import GatebookAuth, refuses
from gatebook_client.held import Held


class RequestsAuth(AuthBase):
    """Authenticates the requests of a session, or a single one; from any thread."""

    def __init__(self, auth: GatebookAuth) -> None:
        self._keeper = auth._keeper  # noqa: SLF001 - the same package

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Give a request its token, and look at its answer."""
        held = self._keeper.good()
        r.headers["Authorization"] = _bearer(held)
        position = _position(r.body)

        def look(response: Response, **sending: Any) -> Response:
            return self._answered(response, held, position, sending)

        r.register_hook("response", look)  # type: ignore[no-untyped-call]
        return r

    def _answered(
        self, response: Response, held: Held, position: int | None, sending: dict[str, Any]
    ) -> Response:
        asked = response.request
        # A redirect to another host has lost the token, and must not get another one.
        if asked.headers.get("Authorization") != _bearer(held) or not refuses(response):
            return response
        # The next request has another token, whether this one can be sent again or not.
        again = self._keeper.instead_of(held)
        request = asked.copy()
        if again is None or not _wound_back(request.body, position):
            return response
        newer = self._keeper.got(again)
        _ = response.content  # read to its end, so that the connection is free
        response.close()
        request.headers["Authorization"] = _bearer(newer)
        second: Response = response.connection.send(request, **sending)
        second.history.append(response)
        second.request = request
        return second


def _bearer(held: Held) -> str:
    return f"Bearer {held.tokens.access_token}"


def _position(body: object) -> int | None:
    """Where a body begins; None for one that can be sent once only."""
    if body is None or isinstance(body, bytes | str):
        return 0
    tell = getattr(body, "tell", None)
    try:
        return int(tell()) if tell is not None else None
    except OSError:
        return None


def _wound_back(body: object, position: int | None) -> bool:
    """Whether it is where it was before it was sent; what can be told may still not be changed."""
    seek = getattr(body, "seek", None)
    try:
        if seek is not None and position is not None:
            seek(position)
    except (OSError, ValueError):
        return False
    return position is not None
