"""Protects the paths of a FastAPI application, as a dependency.

    gatebook = GatebookBearer(verifier)

    @app.get("/orders")
    async def orders(caller: Annotated[Caller, Depends(gatebook)]) -> …

    @app.post("/orders", dependencies=[Depends(gatebook.requiring("orders:write"))])

Knows FastAPI alone.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, HTTPException, WebSocketException
from fastapi.openapi.models import HTTPBearer
from fastapi.requests import HTTPConnection
from fastapi.security.base import SecurityBase

from gatebook_client.adapters.refusal import MISSING, Refusal, refusal_of
from gatebook_client.caller import Caller
from gatebook_client.errors import TokenRefused, VerifierNotReady
from gatebook_client.verifier import Verifier, bearer

_DENIAL = "websocket.http.response"


class GatebookBearer(SecurityBase):
    """A dependency that is the caller; raises HTTPException 401, 403 or 503.

    It is in the OpenAPI description as the scheme `gatebook`. Serves WebSockets, too: one that is
    refused is closed with 3000 where the server can't answer it by HTTP.
    """

    def __init__(self, verifier: Verifier) -> None:
        self.model = HTTPBearer(bearerFormat="JWT", description="An access token of Gatebook's.")
        self.scheme_name = "gatebook"
        self._verifier = verifier

    async def __call__(self, connection: HTTPConnection) -> Caller:
        """Who calls."""
        refusal = MISSING
        given = connection.headers.getlist("authorization")
        try:
            if len(given) > 1:
                raise TokenRefused("There are several Authorization headers.")
            token = bearer(given[0] if given else None)
            if token is not None:
                return await self._verifier.verify_async(token)
        except (TokenRefused, VerifierNotReady) as error:
            refusal = refusal_of(error)
        raise _answer(connection, refusal)

    def requiring(self, *permissions: str) -> Callable[..., Awaitable[Caller]]:
        """The same, for those alone who have all of these permissions.

        It depends on this one, so that what overrides this one in a test overrides it there, too.
        """

        async def required(
            connection: HTTPConnection, caller: Annotated[Caller, Depends(self)]
        ) -> Caller:
            try:
                caller.require(*permissions)
            except TokenRefused as error:
                raise _answer(connection, refusal_of(error)) from error
            return caller

        return required


def _answer(connection: HTTPConnection, refusal: Refusal) -> HTTPException | WebSocketException:
    if connection.scope["type"] == "websocket" and _DENIAL not in connection.scope.get(
        "extensions", {}
    ):
        return WebSocketException(3000, refusal.code)
    return HTTPException(refusal.status, detail=refusal.body, headers=refusal.headers)
