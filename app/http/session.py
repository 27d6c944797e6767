"""Sessions: authenticate, refresh, revoke."""

import msgspec
from litestar import Controller, post
from litestar.params import JSONBody

from app.accounts import Tokens
from app.hidden import Hidden
from app.http.auth import caller_of, note_user, service_of
from app.http.body import StrictRequest
from app.http.problems import OF_A_BODY, OF_THE_STORE, refusals
from domain.errors import Fault, InvalidRequest


class KeyAndSecret(Hidden, frozen=True, forbid_unknown_fields=True):
    """A user's key and secret."""

    user_key: str
    user_secret: str


class RefreshRequest(Hidden, frozen=True, forbid_unknown_fields=True):
    """A refresh token, and whether it is to be changed."""

    refresh_token: str
    rotate: bool = False


class RefreshToken(Hidden, frozen=True, forbid_unknown_fields=True):
    """A refresh token."""

    refresh_token: str


class AccessToken(Hidden, frozen=True):
    """A new access token."""

    access_token: str


class Empty(msgspec.Struct, frozen=True):
    """Nothing to tell."""


class SessionController(Controller):
    """Tokens and the sessions behind them."""

    tags = ("Sessions",)

    @post(
        "/authenticate",
        operation_id="authenticate",
        summary="Authenticate: key and secret for tokens",
        status_code=200,
        responses=refusals("invalid_credentials", "too_many_attempts", *OF_A_BODY, *OF_THE_STORE),
    )
    async def authenticate(self, data: JSONBody[KeyAndSecret], request: StrictRequest) -> Tokens:
        """Start a session with a refresh token of its own."""
        accounts = service_of(request).accounts
        tokens = await accounts.authenticate(data.user_key, data.user_secret, caller_of(request))
        note_user(request, data.user_key)
        return tokens

    @post(
        "/refresh",
        operation_id="refresh",
        summary="Refresh: a new access token",
        status_code=200,
        responses=refusals("invalid_token", *OF_A_BODY, *OF_THE_STORE),
    )
    async def refresh(self, data: JSONBody[RefreshRequest], request: StrictRequest) -> AccessToken:
        """A new access token of the refresh token's session."""
        if data.rotate:
            why = Fault("/rotate", "Rotation is not available in this release.")
            raise InvalidRequest("The refresh token can't be rotated.", (why,))
        sessions = service_of(request).sessions
        access_token, user_key = await sessions.refresh(data.refresh_token, caller_of(request))
        note_user(request, user_key)
        return AccessToken(access_token)

    @post(
        "/revoke",
        operation_id="revoke",
        summary="Revoke: end the session of a refresh token",
        status_code=200,
        responses=refusals(*OF_A_BODY, *OF_THE_STORE),
    )
    async def revoke(self, data: JSONBody[RefreshToken], request: StrictRequest) -> Empty:
        """End the session; the answer is the same for a token that nobody knows."""
        await service_of(request).sessions.revoke(data.refresh_token, caller_of(request))
        return Empty()
