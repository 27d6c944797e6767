"""The own account: sessions, the secret, the history, and to be erased."""

from typing import Any, Final

from litestar import Response, get, post

from app import history
from app.clock import now
from app.http.auth import caller_of, service_of
from app.http.form import FormRequest
from app.paging import Part
from app.web.asked import Word
from app.web.controller import PageController
from app.web.cookie import dropped
from app.web.done import done_before, then
from app.web.page import page
from app.web.posted import again, posted
from app.web.redirect import redirect
from app.web.visiting import visiting
from app.web.wording import told_of
from domain.errors import GatebookError, NotFound

_SHOWN: Final = 8
_PART: Final = 30
_ALL_SESSIONS: Final = Part(101, None, "desc")
"""As many as a user may have live, and the one of its programs."""
_FIELDS: Final = {"/user_secret": "user_secret", "/new_user_secret": "new_user_secret"}


class AccountPages(PageController):
    """For whoever is logged in."""

    @get("/account")
    async def show_account(self, request: FormRequest) -> Response[bytes]:
        """Who one is, the sessions, and what happened last."""
        visitor, service, done = visiting(request), service_of(request), done_before(request)
        key, sessions, last = visitor.user_key, service.session_list, Part(_SHOWN, None, "desc")
        live, happened = await service.reading.read(
            lambda rows: (
                sessions.page(rows, key, _ALL_SESSIONS, now(), visitor.session_id),
                history.page(rows, service.store.vault, key, last),
            )
        )
        told: dict[str, Any] = {"sessions": live.items, "more": happened.next is not None}
        told["lines"] = [told_of(each) for each in happened.items]
        return page(request, "account.html", headers=done.over, done=done.what, **told)

    @get("/account/history")
    async def show_history(self, request: FormRequest, after: Word = "") -> Response[bytes]:
        """A part of what happened, newest first."""
        visitor, service = visiting(request), service_of(request)
        part, vault = Part(_PART, after or None, "desc"), service.store.vault
        found = await service.reading.read(
            lambda rows: history.page(rows, vault, visitor.user_key, part)
        )
        lines = [told_of(each) for each in found.items]
        return page(request, "history.html", lines=lines, next=found.next)

    @post("/web/sessions/end")
    async def end_session(self, request: FormRequest) -> Response[bytes]:
        """One session ends; that it did already is as good."""
        visitor, session_id = visiting(request), (await posted(request, "session_id"))["session_id"]
        try:
            await service_of(request).sessions.end(visitor, session_id, caller_of(request))
        except NotFound:
            return redirect(request, "/account")
        if session_id == visitor.session_id:
            return redirect(request, "/login", {"set-cookie": dropped(request)})
        return then(request, "/account", "session")

    @post("/web/sessions/end-others")
    async def end_others(self, request: FormRequest) -> Response[bytes]:
        """Every session ends but this one."""
        visitor, service = visiting(request), service_of(request)
        await service.sessions.end_all(visitor, caller_of(request), keep_current=True)
        return then(request, "/account", "others")

    @get("/account/secret")
    async def show_secret(self, request: FormRequest) -> Response[bytes]:
        """The form for another secret."""
        visiting(request)
        return page(request, "secret.html")

    @post("/web/secret")
    async def change_secret(self, request: FormRequest) -> Response[bytes]:
        """Another secret; all other sessions end."""
        visitor, service = visiting(request), service_of(request)
        form = await posted(request, *_FIELDS.values())
        try:
            await service.accounts.change_secret(
                visitor, form["user_secret"], form["new_user_secret"], caller_of(request)
            )
        except GatebookError as error:
            return again(request, error, "secret.html", _FIELDS, {})
        return then(request, "/account", "secret")

    @get("/account/erase")
    async def show_erasure(self, request: FormRequest) -> Response[bytes]:
        """What erasing means, and the form for it."""
        visiting(request)
        return page(request, "erase.html")

    @post("/web/erase")
    async def erase(self, request: FormRequest) -> Response[bytes]:
        """Nobody can read any more who it was."""
        visitor, service = visiting(request), service_of(request)
        form = await posted(request, "user_secret")
        try:
            await service.accounts.erase(visitor, form["user_secret"], caller_of(request))
        except GatebookError as error:
            return again(request, error, "erase.html", _FIELDS, {})
        finished = await service.erasing.is_finished(visitor.user_key)
        forget = {"set-cookie": dropped(request)}
        request.scope.pop("visitor")  # type: ignore[typeddict-item]
        return page(request, "erased.html", headers=forget, finished=finished)
