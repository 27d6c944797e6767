"""One user: what is known, and all that an administrator can change."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from litestar import Response, get, post
from litestar.params import FromPath

from app.administration import UserItem
from app.audit import Wanted
from app.clock import now
from app.http.auth import service_of
from app.http.form import FormRequest
from app.paging import Part
from app.web.admin.changed import changed
from app.web.admin.entry import entry_of
from app.web.admin.permissions import (
    NAMES,
    OTHERS,
    SHOWN,
    Filled,
    as_sent,
    difference,
    of_holder,
)
from app.web.admin.section import (
    READ_EVENTS,
    READ_USERS,
    WRITE_USERS,
    admin_page,
    entering,
    may,
    meta_of,
    shared,
)
from app.web.controller import PageController
from app.web.done import done_before
from app.web.page import page
from app.web.posted import Problem, again, posted
from domain.commands import Authority
from domain.errors import Fault, GatebookError, InvalidRequest, NotFound
from domain.stream import Meta

_EVENTS: Final = Part(6, None, "desc")
_SESSIONS: Final = Part(101, None, "desc")
_FIELDS: Final = {"/user_secret": "user_secret", "/name": "name", "/permissions": OTHERS}
_TYPED: Final = "Type the name or the user_key exactly as it stands above."

Change = Callable[[str, Authority, Meta], Awaitable[object]]


class UserPages(PageController):
    """For whoever may read users; what is posted takes `users:write`."""

    @get("/admin/users/{user_key:str}")
    async def show_user(self, user_key: FromPath[str], request: FormRequest) -> Response[bytes]:
        """Who it is, the sessions, and what happened last."""
        entering(request, READ_USERS)
        told, done = await _told(request, user_key), done_before(request)
        return admin_page(request, "user.html", headers=done.over, done=done.what, **told)

    @post("/web/admin/users/{user_key:str}/permissions")
    async def set_permissions(
        self, user_key: FromPath[str], request: FormRequest
    ) -> Response[bytes]:
        """Give and take what the form changed; what others changed meanwhile stays."""
        visitor = entering(request, WRITE_USERS)
        form = await posted(request, *NAMES, OTHERS, SHOWN)
        change = service_of(request).administration.change_permissions
        meta = meta_of(request, visitor)
        try:
            await change(user_key, *difference(form), visitor.authority, meta)
        except GatebookError as error:
            return await _again(request, user_key, _at_others(error), as_sent(form))
        return changed(request, user_key, "permissions")

    @post("/web/admin/users/{user_key:str}/secret")
    async def reset_secret(self, user_key: FromPath[str], request: FormRequest) -> Response[bytes]:
        """A new secret for somebody who lost it."""
        visitor = entering(request, WRITE_USERS)
        secret = (await posted(request, "user_secret"))["user_secret"]
        administration, meta = service_of(request).administration, meta_of(request, visitor)
        user = await shown(request, user_key)
        try:
            await administration.reset_secret(user, secret, visitor.authority, meta)
        except GatebookError as error:
            return await _again(request, user_key, error)
        return changed(request, user_key, "secret")

    @post("/web/admin/users/{user_key:str}/disable")
    async def disable(self, user_key: FromPath[str], request: FormRequest) -> Response[bytes]:
        """Nobody gets in as this user any more."""
        change = service_of(request).administration.disable
        return await _changed(request, user_key, change, "disabled")

    @post("/web/admin/users/{user_key:str}/enable")
    async def enable(self, user_key: FromPath[str], request: FormRequest) -> Response[bytes]:
        """The user gets in again."""
        change = service_of(request).administration.enable
        return await _changed(request, user_key, change, "enabled")

    @post("/web/admin/users/{user_key:str}/end-sessions")
    async def end_sessions(self, user_key: FromPath[str], request: FormRequest) -> Response[bytes]:
        """All of them end."""
        change = service_of(request).administration.end_sessions
        return await _changed(request, user_key, change, "sessions")

    @get("/admin/users/{user_key:str}/erase")
    async def show_erasure(self, user_key: FromPath[str], request: FormRequest) -> Response[bytes]:
        """What erasing means, and what is to be typed for it; it shows who it is."""
        entering(request, READ_USERS)
        entering(request, WRITE_USERS)
        return admin_page(request, "erase.html", user=await shown(request, user_key))

    @post("/web/admin/users/{user_key:str}/erase")
    async def erase(self, user_key: FromPath[str], request: FormRequest) -> Response[bytes]:
        """Nobody can read any more who it was, once the name or the key was typed."""
        visitor, service = entering(request, WRITE_USERS), service_of(request)
        typed = (await posted(request, "name"))["name"]
        user = await shown(request, user_key)
        try:
            _check_typed(user, typed)
            await service.administration.erase(
                user_key, visitor.authority, meta_of(request, visitor)
            )
        except GatebookError as error:
            entering(request, READ_USERS)
            told = {**shared(request), "user": user}
            return again(request, error, "admin/erase.html", _FIELDS, {"name": typed}, **told)
        finished = await service.erasing.is_finished(user_key)
        return changed(request, user_key, "erased" if finished else "erasing")


async def shown(request: FormRequest, user_key: str) -> UserItem:
    """The user of a key; raises `NotFound`."""
    service = service_of(request)
    return await service.reading.read(lambda rows: service.directory.show(rows, user_key, now()))


async def _changed(
    request: FormRequest, user_key: str, change: Change, done: str
) -> Response[bytes]:
    visitor = entering(request, WRITE_USERS)
    try:
        await change(user_key, visitor.authority, meta_of(request, visitor))
    except GatebookError as error:
        return await _again(request, user_key, error)
    return changed(request, user_key, done)


async def _again(
    request: FormRequest, user_key: str, error: GatebookError, filled: Filled | None = None
) -> Response[bytes]:
    if not may(request, READ_USERS):
        raise error
    told = {**shared(request), **await _told(request, user_key, filled), "done": ""}
    if isinstance(error, NotFound):
        # Who is there all the same is erased, perhaps since the form was shown.
        problem = Problem("Erased", error.detail)
        return page(request, "admin/user.html", status=404, problem=problem, **told)
    return again(request, error, "admin/user.html", _FIELDS, {}, **told)


async def _told(
    request: FormRequest, user_key: str, filled: Filled | None = None
) -> dict[str, Any]:
    """What the page of a user tells; what happened only to whoever may read events."""
    service = service_of(request)
    user, sessions = await service.reading.read(
        lambda rows: (
            service.directory.show(rows, user_key, now()),
            service.session_list.page(rows, user_key, _SESSIONS, now()).items,
        )
    )
    entries = None
    if may(request, READ_EVENTS):
        found = await service.event_pages.page(Wanted(user_key), _EVENTS)
        entries = [entry_of(each) for each in found.items]
    return {
        "user": user,
        "sessions": sessions,
        "entries": entries,
        "filled": filled or of_holder(user.permissions),
    }


def _check_typed(user: UserItem, typed: str) -> None:
    if typed not in {user.user_key, user.user_id}:
        raise InvalidRequest.of(Fault("/name", _TYPED))


def _at_others(error: GatebookError) -> GatebookError:
    """What is wrong with a permission stands where it was written: the others can't be wrong."""
    if not isinstance(error, InvalidRequest):
        return error
    text = " ".join(dict.fromkeys(fault.detail for fault in error.faults))
    return InvalidRequest.of(Fault("/permissions", text or error.detail))
