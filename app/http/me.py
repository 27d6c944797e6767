"""The holder of an access token: see oneself, change the secret, read the own history."""

import msgspec
from litestar import Response, get, post
from litestar.params import JSONBody

from app import history
from app.audit import EventItem
from app.hidden import Hidden
from app.http.auth import bearer_of, caller_of, service_of
from app.http.body import StrictRequest
from app.http.controller import Controller
from app.http.erasure import ERASED, erased
from app.http.page import LIMIT, START, After, InOrder, Limit, paged
from app.http.problems import BEARER, OF_A_BODY, OF_THE_STORE, refusals
from app.http.query import only_known
from app.http.session import Empty
from app.paging import Part
from app.timestamps import rfc3339


class Me(msgspec.Struct, frozen=True):
    """The holder of an access token; `expires_at` is the token's end."""

    user_key: str
    user_id: str
    permissions: tuple[str, ...]
    session_id: str
    registered_at: str
    expires_at: str


class NewSecret(Hidden, frozen=True, forbid_unknown_fields=True):
    """The secret until now, and the one from now on."""

    user_secret: str
    new_user_secret: str


class OwnSecret(Hidden, frozen=True, forbid_unknown_fields=True):
    """The own secret, once more."""

    user_secret: str


class EventPage(msgspec.Struct, frozen=True):
    """A part of a history; `next` is null when there is no more."""

    items: list[EventItem]
    next: str | None


class MeController(Controller):
    """The own user."""

    path = "/me"
    tags = ("Me",)
    before_request = staticmethod(only_known)
    security = BEARER

    @get(
        operation_id="showMe",
        summary="The holder of the access token",
        responses=refusals("invalid_request", "invalid_token", *OF_THE_STORE),
    )
    async def show_me(self, request: StrictRequest) -> Me:
        """Who the bearer is, and what this token may do now."""
        bearer = await bearer_of(request)
        return Me(
            bearer.user_key,
            bearer.user_id,
            bearer.permissions,
            bearer.session_id,
            rfc3339(bearer.registered_at),
            rfc3339(bearer.expires_at),
        )

    @post(
        "/secret",
        operation_id="changeSecret",
        summary="Change the own secret",
        status_code=204,
        responses=refusals(
            "unacceptable_secret",
            "invalid_credentials",
            "invalid_token",
            "too_many_attempts",
            *OF_A_BODY,
            *OF_THE_STORE,
        ),
    )
    async def change_secret(self, data: JSONBody[NewSecret], request: StrictRequest) -> None:
        """All other sessions end."""
        bearer = await bearer_of(request)
        await service_of(request).accounts.change_secret(
            bearer, data.user_secret, data.new_user_secret, caller_of(request)
        )

    @post(
        "/erase",
        operation_id="eraseMe",
        summary="Be erased",
        status_code=202,
        responses={
            **ERASED,
            **refusals(
                "invalid_credentials",
                "invalid_token",
                "last_administrator",
                "too_many_attempts",
                *OF_A_BODY,
                *OF_THE_STORE,
            ),
        },
    )
    async def erase_me(
        self, data: JSONBody[OwnSecret], request: StrictRequest
    ) -> Response[Empty | None]:
        """For good: every session ends, the name is free, and nobody can read who it was.

        202 says that all this is so, and that the service still removes bytes from its files. The
        last enabled administrator stays.
        """
        bearer = await bearer_of(request)
        service = service_of(request)
        await service.accounts.erase(bearer, data.user_secret, caller_of(request))
        return erased(finished=await service.erasing.is_finished(bearer.user_key))

    @get(
        "/events",
        operation_id="listMyEvents",
        summary="The own history, newest first",
        responses=refusals("invalid_request", "invalid_token", "log_changed", *OF_THE_STORE),
    )
    async def list_my_events(
        self,
        request: StrictRequest,
        limit: Limit = LIMIT,
        after: After = START,
        order: InOrder = "desc",
    ) -> Response[EventPage]:
        """Where other people acted from isn't told.

        `after` is LOG_ID:POSITION. Of another log, or beyond the end of this one, it is
        `log_changed`.
        """
        bearer = await bearer_of(request)
        service = service_of(request)
        part, vault = Part(limit, after or None, order), service.store.vault
        found = await service.reading.read(
            lambda rows: history.page(rows, vault, bearer.user_key, part)
        )
        return paged(request, EventPage(found.items, found.next))
