"""OAuth for clients and resource servers that never heard of Gatebook: token, introspect, revoke.

A client is a user: its id is the user_key (RFC 6749, 7009, 7662).
"""

from typing import Literal

from litestar import Response, post
from litestar.exceptions import HTTPException

from app.hidden import Hidden
from app.http import oauth_error
from app.http.auth import bearer_of, caller_of, header, note_user, service_of
from app.http.client import Client, client_of
from app.http.controller import Controller
from app.http.form import FormRequest
from app.http.oauth_error import OAuthRefusal, oauth_errors
from app.introspection import Active, Inactive
from app.scope import InvalidScope
from domain.errors import InvalidCredentials, InvalidRequest, InvalidToken

NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}


class TokenAnswer(Hidden, frozen=True, omit_defaults=True):
    """Tokens (RFC 6749 §5.1); `expires_in` in seconds."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str
    refresh_token: str | None = None


class OAuthController(Controller):
    """For OAuth clients and resource servers."""

    path = "/oauth"
    tags = ("OAuth",)
    request_class = FormRequest
    exception_handlers = {HTTPException: oauth_error.answer, Exception: oauth_error.answer}  # noqa: RUF012 - Litestar's own attribute

    @post("/token", operation_id="token", summary="Tokens for a grant", status_code=200,
          responses=oauth_errors())  # fmt: skip
    async def token(self, request: FormRequest) -> Response[TokenAnswer]:
        """`client_credentials`, or `refresh_token`, which is changed each time."""
        form = await request.parameters()
        grants = {"client_credentials": _for_secret, "refresh_token": _for_refresh_token}
        grant = grants.get(_needed(form, "grant_type"))
        if grant is None:
            msg = "There are client_credentials and refresh_token."
            raise OAuthRefusal("unsupported_grant_type", msg)
        client = _named(request, form)
        try:
            answer = await grant(request, form, client)
        except InvalidScope as error:
            raise OAuthRefusal("invalid_scope", str(error)) from None
        note_user(request, client.user_key)
        return Response(answer, headers=NO_STORE)

    @post("/introspect", operation_id="introspect", status_code=200,
          summary="What a token is worth now [tokens:introspect]",
          responses=oauth_errors(403))  # fmt: skip
    async def introspect(self, request: FormRequest) -> Active | Inactive:
        """For holders of `tokens:introspect`, and for the token's own user."""
        form = await request.parameters()
        token = _needed(form, "token")
        user_key, permissions = await _asking(request, form)
        service = service_of(request)
        return await service.introspection.introspect(token, user_key, permissions)

    @post("/revoke", operation_id="revokeToken", summary="End the session of a token",
          status_code=200, responses=oauth_errors())  # fmt: skip
    async def revoke_token(self, request: FormRequest) -> Response[bytes]:
        """The session of either kind of token ends; for another's token nothing happens."""
        form = await request.parameters()
        token, client = _needed(form, "token"), _named(request, form)
        await _check_secret(request, client)
        service, caller = service_of(request), caller_of(request)
        await service.refresh_tokens.revoke(token, caller, user_key=client.user_key)
        await service.introspection.revoke(token, client.user_key, caller)
        return Response(b"", media_type="text/plain", headers=NO_STORE)


async def _for_secret(request: FormRequest, form: dict[str, str], client: Client) -> TokenAnswer:
    """RFC 6749 §4.4: in the user's service session."""
    if client.user_secret is None:
        raise InvalidCredentials
    granted = await service_of(request).service_sessions.grant(
        client.user_key, client.user_secret, form.get("scope"), caller_of(request)
    )
    return TokenAnswer(granted.access_token, "Bearer", granted.expires_in, granted.scope)


async def _for_refresh_token(
    request: FormRequest, form: dict[str, str], client: Client
) -> TokenAnswer:
    """RFC 6749 §6: the client id suffices, and a secret that is sent is checked."""
    token = _needed(form, "refresh_token")
    await _check_secret(request, client)
    refreshed = await service_of(request).refresh_tokens.refresh(
        token,
        caller_of(request),
        rotate=True,
        user_key=client.user_key,
        scope=form.get("scope"),
    )
    service_of(request).metrics.refreshed(rotated=True)
    return TokenAnswer(
        refreshed.access_token,
        "Bearer",
        refreshed.expires_in,
        refreshed.scope,
        refreshed.refresh_token,
    )


async def _asking(request: FormRequest, form: dict[str, str]) -> tuple[str, tuple[str, ...]]:
    """Who asks and what it may do: by an access token, or by a client's secret."""
    if (header(request, b"authorization") or b"").lower().startswith(b"bearer "):
        return await _by_token(request, client_of(request, form))
    client = _named(request, form)
    if client.user_secret is None:
        raise InvalidCredentials
    proving = service_of(request).proving
    row = (await proving.by_key(client.user_key, client.user_secret, caller_of(request))).row
    note_user(request, row.user_key)
    return row.user_key, tuple(row.permissions.split())


async def _by_token(request: FormRequest, client: Client | None) -> tuple[str, tuple[str, ...]]:
    """The user of the access token; a client id beside it has to be the same user's."""
    try:
        bearer = await bearer_of(request)
    except InvalidToken as error:
        raise InvalidCredentials(error.detail) from None
    if client is not None and client.user_key != bearer.user_key:
        raise InvalidRequest("The client_id is not that of the access token.")
    return bearer.user_key, bearer.permissions


async def _check_secret(request: FormRequest, client: Client) -> None:
    if client.user_secret is not None:
        proving = service_of(request).proving
        await proving.by_key(client.user_key, client.user_secret, caller_of(request))
        note_user(request, client.user_key)


def _named(request: FormRequest, form: dict[str, str]) -> Client:
    """The client; raises `InvalidCredentials` when none is named."""
    client = client_of(request, form)
    if client is None:
        raise InvalidCredentials("The client is not named.")
    return client


def _needed(form: dict[str, str], name: str) -> str:
    if name not in form:
        raise InvalidRequest(f"The parameter {name} is missing.")
    return form[name]
