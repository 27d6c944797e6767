"""Protects the paths of a FastAPI application, as a dependency.

gatebook = GatebookBearer(verifier)

@app.get("/orders")
async def orders(caller: Annotated[Caller, Depends(gatebook)]) -> …

@app.post("/orders", dependencies=[Depends(gatebook.requiring("orders:write"))])
"""

from collections.abc import Collection
from typing import Self

from fastapi import HTTPException, WebSocketException
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

    def __init__(self, verifier: Verifier, permissions: Collection[str] = ()) -> None:
        self.model = HTTPBearer(bearerFormat="JWT", description="An access token of Gatebook's.")
        self.scheme_name = "gatebook"
        self._verifier = verifier
        self._permissions = tuple(permissions)

    async def __call__(self, connection: HTTPConnection) -> Caller:
        """Who calls."""
        refusal = MISSING
        given = connection.headers.getlist("authorization")
        try:
            if len(given) > 1:
                raise TokenRefused("There are several Authorization headers.")
            token = bearer(given[0] if given else None)
            if token is not None:
                caller = await self._verifier.verify_async(token)
                caller.require(*self._permissions)
                return caller
        except (TokenRefused, VerifierNotReady) as error:
            refusal = refusal_of(error)
        raise _answer(connection, refusal)

    def requiring(self, *permissions: str) -> Self:
        """The same, for those alone who have all of these permissions."""
        return type(self)(self._verifier, permissions)


def _answer(connection: HTTPConnection, refusal: Refusal) -> HTTPException | WebSocketException:
    if connection.scope["type"] == "websocket" and _DENIAL not in connection.scope.get(
        "extensions", {}
    ):
        return WebSocketException(3000, refusal.code)
    return HTTPException(refusal.status, detail=refusal.body, headers=refusal.headers)
