"""Users: all of them, the one of a name or key, and a new one."""

from typing import Final

from litestar import Response, get, post

from app.administration import UserItem
from app.bootstrap import Service
from app.clock import now
from app.http.auth import service_of
from app.http.form import FormRequest
from app.paging import Page, Part
from app.web.admin.changed import changed
from app.web.admin.section import (
    READ_USERS,
    WRITE_USERS,
    admin_page,
    entering,
    meta_of,
    shared,
)
from app.web.asked import Text, Word
from app.web.controller import PageController
from app.web.done import NOTHING, done_before
from app.web.posted import again, posted
from domain.errors import GatebookError, NotFound

_PART: Final = 25
_FIELDS: Final = {"/user_id": "user_id", "/user_secret": "user_secret"}


class UsersPages(PageController):
    """For whoever may read users; making one takes more."""

    @get("/admin/users")
    async def show_users(
        self, request: FormRequest, q: Text = "", after: Word = "", order: Text = ""
    ) -> Response[bytes]:
        """A part of them, newest first unless asked otherwise, or the one that is looked for."""
        entering(request, READ_USERS)
        service, part = service_of(request), _part(after, order)
        found = await _found(service, q) if q else await _listed(service, part)
        return admin_page(
            request, "users.html", users=found.items, next=found.next, q=q, order=part.order
        )

    @get("/admin/users/new")
    async def show_form(self, request: FormRequest) -> Response[bytes]:
        """The form for a new one."""
        entering(request, WRITE_USERS)
        done = done_before(request)
        return admin_page(request, "new_user.html", headers=done.over, done=done)

    @post("/web/admin/users")
    async def create_user(self, request: FormRequest) -> Response[bytes]:
        """A new one, also while registration is closed; or the form again."""
        visitor = entering(request, WRITE_USERS)
        form = await posted(request, "user_id", "user_secret")
        administration, name = service_of(request).administration, form["user_id"]
        try:
            made = await administration.create(name, form["user_secret"], meta_of(request, visitor))
        except GatebookError as error:
            told = {**shared(request), "done": NOTHING}
            return again(request, error, "admin/new_user.html", _FIELDS, {"user_id": name}, **told)
        return changed(request, made, "made")


def _part(after: str, order: str) -> Part:
    return Part(_PART, after or None, "asc" if order == "asc" else "desc")


async def _listed(service: Service, part: Part) -> Page[UserItem]:
    return await service.reading.read(lambda rows: service.directory.page(rows, part, now()))


async def _found(service: Service, wanted: str) -> Page[UserItem]:
    """The user of a key or of a name, or nobody."""
    try:
        item = await service.reading.read(lambda rows: service.directory.find(rows, wanted, now()))
    except NotFound:
        return Page([], None)
    return Page([item], None)
