"""Protects any ASGI application, as a middleware around it.

    app = GatebookMiddleware(app, verifier)

Knows ASGI 3 alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from gatebook_client.adapters.refusal import MEDIA_TYPE, MISSING, Refusal, refusal_of
from gatebook_client.caller import Caller
from gatebook_client.errors import TokenRefused, VerifierNotReady
from gatebook_client.verifier import Verifier, bearer

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

STATE = "caller"
"""Where the caller is in the scope's `state`: `request.state.caller` in most frameworks."""
_DENIAL = "websocket.http.response"


class GatebookMiddleware:
    """Lets in who has a good access token, and says who it is; answers all others itself.

    Args:
        app: what is protected.
        verifier: says whose a token is.
        optional: let in who shows no token, too; then the caller is None. A bad token is refused.
        public: paths that need none, and are not asked for one; the caller is None. Without
            wildcards.

    A WebSocket is looked at when it is opened, and not again.
    """

    def __init__(
        self,
        app: Application,
        verifier: Verifier,
        *,
        optional: bool = False,
        public: Collection[str] = (),
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._optional = optional
        self._public = frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Verify, then go on or refuse."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        refusal: Refusal | None = None
        caller: Caller | None = None
        try:
            public = scope["path"] in self._public
            token = None if public else bearer(_authorization(scope))
            if token is not None:
                caller = await self._verifier.verify_async(token)
            elif not (public or self._optional):
                refusal = MISSING
        except (TokenRefused, VerifierNotReady) as error:
            refusal = refusal_of(error)
        if refusal is not None:
            await _refuse(scope, send, refusal)
            return
        scope["state"] = {**scope.get("state", {}), STATE: caller}
        await self._app(scope, receive, send)


def caller_of(scope: Scope) -> Caller:
    """Who calls; raises TokenRefused when nobody was asked for a token."""
    caller = scope.get("state", {}).get(STATE)
    if not isinstance(caller, Caller):
        raise TokenRefused("The request has no access token.")
    return caller


def _authorization(scope: Scope) -> str | None:
    found = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(found) > 1:
        raise TokenRefused("There are several Authorization headers.")
    return found[0].decode("latin-1") if found else None


async def _refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    if scope["type"] == "websocket" and _DENIAL not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 3000, "reason": refusal.code})
        return
    prefix = "websocket.http" if scope["type"] == "websocket" else "http"
    headers = {**refusal.headers, "Content-Type": MEDIA_TYPE}
    sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": f"{prefix}.response.start", "status": refusal.status, "headers": sent})
    await send({"type": f"{prefix}.response.body", "body": refusal.content})
