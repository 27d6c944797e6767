"""Logging in at a page and out again: a session that the browser keeps in its cookie."""

from typing import Annotated

from litestar import Response, get, post
from litestar.params import QueryParameter

from app.http.auth import caller_of, note_user, service_of
from app.http.form import FormRequest
from app.web.controller import PageController
from app.web.cookie import dropped, kept, token_of
from app.web.page import page, visitor_of
from app.web.posted import again, posted
from app.web.redirect import inside, redirect
from domain.errors import GatebookError

_FIELDS = {"/user_id": "user", "/user_secret": "user_secret"}
_HOME = "/account"


class LoginController(PageController):
    """The form, what it sends, and the way out."""

    @get("/login")
    async def show_form(
        self,
        request: FormRequest,
        next_path: Annotated[str, QueryParameter(name="next")] = "",
    ) -> Response[bytes]:
        """The empty form; who is logged in has no need of it."""
        to = inside(next_path, _HOME)
        if visitor_of(request) is not None:
            return redirect(request, to)
        return page(request, "login.html", values={"next": to})

    @post("/web/login")
    async def log_in(self, request: FormRequest) -> Response[bytes]:
        """A cookie, and on to the page that was asked for; or the form again."""
        form = await posted(request, "user", "user_secret", "next")
        sessions, caller = service_of(request).page_sessions, caller_of(request)
        values = {"user": form["user"], "next": inside(form["next"], _HOME)}
        try:
            found = await sessions.begin(form["user"], form["user_secret"], caller)
        except GatebookError as error:
            return again(request, error, "login.html", _FIELDS, values)
        note_user(request, found.user_key)
        await sessions.end(token_of(request) or "", caller)
        return redirect(request, values["next"], {"set-cookie": kept(request, found.refresh_token)})

    @post("/web/logout")
    async def log_out(self, request: FormRequest) -> Response[bytes]:
        """The session ends, whatever there was of it."""
        sessions = service_of(request).page_sessions
        await sessions.end(token_of(request) or "", caller_of(request))
        return redirect(request, "/login", {"set-cookie": dropped(request)})
