"""Sessions: authenticate, refresh, revoke, and the list of one's own."""

from typing import Annotated, Literal

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from app.accounts import Tokens
from app.clock import now
from app.hidden import Hidden
from app.http.auth import bearer_of, caller_of, note_user, service_of
from app.http.body import StrictRequest
from app.http.controller import Controller
from app.http.page import LIMIT, START, After, InOrder, Limit, paged
from app.http.problems import BEARER, OF_A_BODY, OF_THE_STORE, AnyRequest, refusals
from app.http.query import only_known
from app.paging import Part
from app.session_list import SessionItem
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


class SessionPage(msgspec.Struct, frozen=True):
    """A part of the live sessions; `next` is null when there is no more."""

    items: list[SessionItem]
    next: str | None


async def _only_current(request: AnyRequest) -> None:
    """An empty `keep` is a mistake: whoever sends it wants to keep something."""
    await only_known(request)
    if request.query_params.get("keep") == "":
        why = "Send `current`, or leave it out to end this session too."
        raise InvalidRequest.of(Fault("/keep", why))


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
        summary="Refresh: a new access token, and a new refresh token with `rotate`",
        status_code=200,
        direct=True,
        responses=refusals("invalid_token", *OF_A_BODY, *OF_THE_STORE),
    )
    async def refresh(
        self, data: JSONBody[RefreshRequest], request: StrictRequest
    ) -> AccessToken | Tokens:
        """A new access token of the session; with `rotate` a new refresh token too.

        The one before is retired then. Shown again because the answer was lost, it gets the same
        successor, until that is first used and for a minute at most; later it ends the session.
        An operator may have every refresh rotate.
        """
        refreshed = await service_of(request).refresh_tokens.refresh(
            data.refresh_token, caller_of(request), rotate=data.rotate
        )
        note_user(request, refreshed.user_key)
        service_of(request).metrics.refreshed(rotated=refreshed.refresh_token is not None)
        if refreshed.refresh_token is None:
            return AccessToken(refreshed.access_token)
        return Tokens(refreshed.access_token, refreshed.refresh_token)

    @post(
        "/revoke",
        operation_id="revoke",
        summary="Revoke: end the session of a refresh token",
        status_code=200,
        responses=refusals(*OF_A_BODY, *OF_THE_STORE),
    )
    async def revoke(self, data: JSONBody[RefreshToken], request: StrictRequest) -> Empty:
        """End the session, by a retired token as well; the same answer where there is none."""
        await service_of(request).refresh_tokens.revoke(data.refresh_token, caller_of(request))
        return Empty()

    @get(
        "/sessions",
        operation_id="listMySessions",
        before_request=only_known,
        summary="The own live sessions",
        security=BEARER,
        responses=refusals("invalid_request", "invalid_token", *OF_THE_STORE),
    )
    async def list_my_sessions(
        self,
        request: StrictRequest,
        limit: Limit = LIMIT,
        after: After = START,
        order: InOrder = "asc",
    ) -> Response[SessionPage]:
        """Where one is logged in; `current` is the session of this access token."""
        bearer = await bearer_of(request)
        service, part = service_of(request), Part(limit, after or None, order)
        found = await service.reading.read(
            lambda rows: service.session_list.page(
                rows, bearer.user_key, part, now(), bearer.session_id
            )
        )
        return paged(request, SessionPage(found.items, found.next))

    @delete(
        "/sessions/{session_id:str}",
        operation_id="endMySession",
        before_request=only_known,
        summary="End one of the own sessions",
        security=BEARER,
        responses=refusals("invalid_request", "invalid_token", "not_found", *OF_THE_STORE),
    )
    async def end_my_session(self, session_id: FromPath[str], request: StrictRequest) -> None:
        """Its tokens are refused from now on. Ending it again changes nothing."""
        bearer = await bearer_of(request)
        await service_of(request).sessions.end(bearer, session_id, caller_of(request))

    @delete(
        "/sessions",
        operation_id="endMySessions",
        before_request=_only_current,
        summary="End all own sessions",
        security=BEARER,
        responses=refusals("invalid_request", "invalid_token", *OF_THE_STORE),
    )
    async def end_my_sessions(
        self,
        request: StrictRequest,
        keep: Annotated[
            Literal["current", ""],
            QueryParameter(description="`current` keeps the session of this access token."),
        ] = "",
    ) -> None:
        """Their tokens are refused from now on."""
        bearer = await bearer_of(request)
        await service_of(request).sessions.end_all(
            bearer, caller_of(request), keep_current=keep == "current"
        )
