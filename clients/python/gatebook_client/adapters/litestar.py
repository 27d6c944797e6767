"""Protects a Litestar application: a middleware that finds the caller, and guards.

    Litestar(
        [orders],
        middleware=[protected(verifier, exclude=["^/schema"])],
        dependencies={"caller": Provide(caller, sync_to_thread=False)},
    )

    @get("/orders", guards=[requires("orders:read")])
    async def orders(caller: Caller) -> …

Knows Litestar alone.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler
from litestar.middleware import (
    AbstractAuthenticationMiddleware,
    AuthenticationResult,
    DefineMiddleware,
)
from litestar.types import ASGIApp, Guard

from gatebook_client.adapters.refusal import MISSING, Refusal, refusal_of
from gatebook_client.caller import Caller
from gatebook_client.errors import TokenRefused, VerifierNotReady
from gatebook_client.verifier import Verifier, bearer

Connection = ASGIConnection[Any, Any, Any, Any]


class GatebookAuthentication(AbstractAuthenticationMiddleware):
    """`connection.user` is the caller; raises HTTPException 401 or 503."""

    def __init__(self, app: ASGIApp, verifier: Verifier, **more: Any) -> None:
        super().__init__(app, **more)
        self._verifier = verifier

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """Who calls."""
        given = connection.headers.getall("authorization", [])
        try:
            if len(given) > 1:
                raise TokenRefused("There are several Authorization headers.")
            token = bearer(given[0] if given else None)
            if token is None:
                raise _answer(MISSING)
            found = await self._verifier.verify_async(token)
        except (TokenRefused, VerifierNotReady) as error:
            raise _answer(refusal_of(error)) from error
        return AuthenticationResult(user=found, auth=found)


def protected(verifier: Verifier, **more: Any) -> DefineMiddleware:
    """The middleware; `more` (`exclude=…`) as Litestar's own for authentication."""
    return DefineMiddleware(GatebookAuthentication, verifier=verifier, **more)


def caller(request: ASGIConnection[Any, Any, Any, Any]) -> Caller:
    """A dependency: who calls; 401 for a path that the middleware leaves out."""
    found = request.scope.get("user")
    if not isinstance(found, Caller):
        raise _answer(MISSING)
    return found


def requires(*permissions: str) -> Guard:
    """A guard for those who have all of these permissions."""

    def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        del handler
        try:
            caller(connection).require(*permissions)
        except TokenRefused as error:
            raise _answer(refusal_of(error)) from error

    return guard


def _answer(refusal: Refusal) -> HTTPException:
    return HTTPException(
        status_code=refusal.status,
        detail=refusal.detail,
        headers=refusal.headers,
        extra={"code": refusal.code, "permission": refusal.permission},
    )
