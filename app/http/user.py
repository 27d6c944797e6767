"""Users, for administrators: find them, make them, and change what they may."""

from typing import Annotated

import msgspec
from litestar import Response, delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from app.administration import UserItem
from app.clock import now
from app.hidden import Hidden
from app.http.account import NameAndSecret, UserKey
from app.http.auth import allowed, caller_of, service_of
from app.http.body import StrictRequest
from app.http.controller import Controller
from app.http.erasure import ERASED, erased
from app.http.moment import UNSAID, At, Position, moment_of
from app.http.page import LIMIT, START, After, InOrder, Limit, paged
from app.http.problems import BEARER, OF_A_BODY, OF_THE_STORE, refusals
from app.http.query import only_known
from app.http.session import Empty, SessionPage
from app.paging import Part
from domain.permission import MAX_PERMISSIONS
from domain.stream import Meta, actor_of

READ = "users:read"
WRITE = "users:write"

_OF_A_CHANGE = (
    "invalid_request", "invalid_token", "insufficient_permission", "not_found", *OF_THE_STORE,
)  # fmt: skip


class UserPage(msgspec.Struct, frozen=True):
    """A part of all users; `next` is null when there is no more."""

    items: list[UserItem]
    next: str | None


class Permissions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody may do."""

    permissions: Annotated[list[str], msgspec.Meta(max_length=MAX_PERMISSIONS)]


class Secret(Hidden, frozen=True, forbid_unknown_fields=True):
    """A new secret."""

    user_secret: str


class UserController(Controller):
    """Users, for administrators."""

    path = "/users"
    tags = ("Users",)
    before_request = staticmethod(only_known)
    security = BEARER

    @post(
        operation_id="createUser",
        summary="Make a user [users:write]",
        responses=refusals(
            "unacceptable_secret", "invalid_token", "insufficient_permission", "user_id_taken",
            *OF_A_BODY, *OF_THE_STORE,
        ),
    )  # fmt: skip
    async def create_user(self, data: JSONBody[NameAndSecret], request: StrictRequest) -> UserKey:
        """Make a user, also while registration is closed."""
        bearer = await allowed(request, WRITE)
        administration = service_of(request).administration
        meta = caller_of(request).meta(actor_of(bearer.user_key))
        return UserKey(await administration.create(data.user_id, data.user_secret, meta))

    @get(
        operation_id="listUsers",
        summary="All users [users:read]",
        responses=refusals(
            "invalid_request", "invalid_token", "insufficient_permission", *OF_THE_STORE
        ),
    )
    async def list_users(
        self,
        request: StrictRequest,
        user_id: Annotated[
            str, QueryParameter(max_length=1024, description="Only the user of this name.")
        ] = "",
        limit: Limit = LIMIT,
        after: After = START,
        order: InOrder = "asc",
    ) -> Response[UserPage]:
        """In the order of their registration."""
        await allowed(request, READ)
        service, part = service_of(request), Part(limit, after or None, order)
        found = await service.reading.read(
            lambda rows: (
                service.directory.named(rows, user_id, now())
                if "user_id" in request.query_params
                else service.directory.page(rows, part, now())
            )
        )
        return paged(request, UserPage(found.items, found.next))

    @get(
        "/{user_key:str}",
        operation_id="showUser",
        summary="One user, now or as of then [users:read]",
        responses=refusals("log_changed", *_OF_A_CHANGE),
    )
    async def show_user(
        self,
        user_key: FromPath[str],
        request: StrictRequest,
        at: At = UNSAID,
        position: Position = UNSAID,
    ) -> UserItem:
        """Every member as it was then; the name is null of who was erased since.

        A position beyond the end of the log is `log_changed`. Before its registration a user is
        `not_found`.
        """
        await allowed(request, READ)
        moment = moment_of(request.query_params, at, position)
        if moment is None:
            return await _shown(request, user_key)
        service = service_of(request)
        folding = service.as_of.user(user_key, moment, now())
        # A page at a time, so that a long stream holds up neither others nor itself.
        while (found := await service.reading.read(folding.read)) is None:
            pass
        return found

    @get(
        "/{user_key:str}/sessions",
        operation_id="listSessionsOfUser",
        summary="The live sessions of a user [users:read]",
        responses=refusals(*_OF_A_CHANGE),
    )
    async def list_sessions_of_user(
        self,
        user_key: FromPath[str],
        request: StrictRequest,
        limit: Limit = LIMIT,
        after: After = START,
        order: InOrder = "asc",
    ) -> Response[SessionPage]:
        """Where the user is logged in."""
        bearer = await allowed(request, READ)
        service, part = service_of(request), Part(limit, after or None, order)
        await _shown(request, user_key)
        found = await service.reading.read(
            lambda rows: service.session_list.page(rows, user_key, part, now(), bearer.session_id)
        )
        return paged(request, SessionPage(found.items, found.next))

    @delete(
        "/{user_key:str}/sessions",
        operation_id="endSessionsOfUser",
        summary="End all sessions of a user [users:write]",
        responses=refusals(*_OF_A_CHANGE),
    )
    async def end_sessions_of_user(self, user_key: FromPath[str], request: StrictRequest) -> None:
        """Their tokens are refused from now on."""
        bearer = await allowed(request, WRITE)
        meta = _meta(request, bearer.user_key)
        await service_of(request).administration.end_sessions(user_key, bearer.authority, meta)

    @put(
        "/{user_key:str}/permissions",
        operation_id="setPermissions",
        summary="What a user may do [users:write]",
        responses=refusals("last_administrator", *OF_A_BODY, *_OF_A_CHANGE),
    )
    async def set_permissions(
        self, user_key: FromPath[str], data: JSONBody[Permissions], request: StrictRequest
    ) -> UserItem:
        """One taken away stops working at once; one given works from the next refresh.

        You give only permissions that you hold, and only `admin` changes a user who has `admin`.
        The last enabled one of those keeps it.
        """
        bearer = await allowed(request, WRITE)
        meta = _meta(request, bearer.user_key)
        await service_of(request).administration.set_permissions(
            user_key, data.permissions, bearer.authority, meta
        )
        return await _shown(request, user_key)

    @put(
        "/{user_key:str}/secret",
        operation_id="resetSecret",
        summary="Give a user a new secret [users:write]",
        status_code=204,
        responses=refusals("unacceptable_secret", *OF_A_BODY, *_OF_A_CHANGE),
    )
    async def reset_secret(
        self, user_key: FromPath[str], data: JSONBody[Secret], request: StrictRequest
    ) -> None:
        """For somebody who lost it; all sessions end."""
        bearer = await allowed(request, WRITE)
        user = await _shown(request, user_key)
        meta = _meta(request, bearer.user_key)
        await service_of(request).administration.reset_secret(
            user, data.user_secret, bearer.authority, meta
        )

    @post(
        "/{user_key:str}/disable",
        operation_id="disableUser",
        summary="Let a user not get in any more [users:write]",
        status_code=200,
        responses=refusals("last_administrator", *_OF_A_CHANGE),
    )
    async def disable_user(self, user_key: FromPath[str], request: StrictRequest) -> UserItem:
        """All sessions end. Repeated, it changes nothing.

        Only `admin` disables a user who has `admin`, and never the last enabled one.
        """
        bearer = await allowed(request, WRITE)
        meta = _meta(request, bearer.user_key)
        await service_of(request).administration.disable(user_key, bearer.authority, meta)
        return await _shown(request, user_key)

    @post(
        "/{user_key:str}/enable",
        operation_id="enableUser",
        summary="Let a user get in again [users:write]",
        status_code=200,
        responses=refusals(*_OF_A_CHANGE),
    )
    async def enable_user(self, user_key: FromPath[str], request: StrictRequest) -> UserItem:
        """With the secret as it was. Repeated, it changes nothing."""
        bearer = await allowed(request, WRITE)
        meta = _meta(request, bearer.user_key)
        await service_of(request).administration.enable(user_key, bearer.authority, meta)
        return await _shown(request, user_key)

    @delete(
        "/{user_key:str}",
        operation_id="eraseUser",
        summary="Erase a user [users:write]",
        status_code=202,
        responses={**ERASED, **refusals("last_administrator", *_OF_A_CHANGE)},
    )
    async def erase_user(
        self, user_key: FromPath[str], request: StrictRequest
    ) -> Response[Empty | None]:
        """For good: every session ends, the name is free, and nobody can read who it was.

        202 says that all this is so, and that the service still removes bytes from its files;
        repeated, it changes nothing and tells how far that is. Only `admin` erases a user who has
        `admin`, and never the last enabled one.
        """
        bearer = await allowed(request, WRITE)
        service, meta = service_of(request), _meta(request, bearer.user_key)
        await service.administration.erase(user_key, bearer.authority, meta)
        return erased(finished=await service.erasing.is_finished(user_key))


def _meta(request: StrictRequest, user_key: str) -> Meta:
    return caller_of(request).meta(actor_of(user_key))


async def _shown(request: StrictRequest, user_key: str) -> UserItem:
    service = service_of(request)
    return await service.reading.read(lambda rows: service.directory.show(rows, user_key, now()))
