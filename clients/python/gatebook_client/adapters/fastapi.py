"""Protects the paths of a FastAPI application, as a dependency.

gatebook = GatebookBearer(verifier)

@app.get("/orders")
async def orders(caller: Annotated[Caller, Depends(gatebook)]) -> …

@app.post("/orders", dependencies=[Depends(gatebook.requiring("orders:write"))])
"""

from collections.abc import Awaitable, Callable

from fastapi import HTTPException, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from gatebook_client.adapters.refusal import MISSING, Refusal, refusal_of
from gatebook_client.caller import Caller
from gatebook_client.errors import TokenRefused, VerifierNotReady
from gatebook_client.verifier import Verifier, bearer


class GatebookBearer(SecurityBase):
    """A dependency that is the caller; raises HTTPException 401, 403 or 503.

    It is in the OpenAPI description as the scheme `gatebook`.
    """

    def __init__(self, verifier: Verifier) -> None:
        self.model = HTTPBearer(bearerFormat="JWT", description="An access token of Gatebook's.")
        self.scheme_name = "gatebook"
        self._verifier = verifier

    async def __call__(self, request: Request) -> Caller:
        """Who calls."""
        return await self._caller(request, ())

    def requiring(self, *permissions: str) -> Callable[[Request], Awaitable[Caller]]:
        """The same, for those alone who have all of these permissions."""

        async def caller(request: Request) -> Caller:
            return await self._caller(request, permissions)

        return caller

    async def _caller(self, request: Request, permissions: tuple[str, ...]) -> Caller:
        given = request.headers.getlist("authorization")
        try:
            if len(given) > 1:
                raise TokenRefused("There are several Authorization headers.")
            token = bearer(given[0] if given else None)
            if token is None:
                raise _answer(MISSING)
            caller = await self._verifier.verify_async(token)
            caller.require(*permissions)
        except (TokenRefused, VerifierNotReady) as error:
            raise _answer(refusal_of(error)) from error
        return caller


def _answer(refusal: Refusal) -> HTTPException:
    return HTTPException(refusal.status, detail=refusal.body, headers=refusal.headers)
